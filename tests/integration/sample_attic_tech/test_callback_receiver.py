"""The callback receiver over real sockets: what it records, answers and waits for."""

from datetime import UTC, datetime, timedelta
from threading import Thread
from time import monotonic

import httpx
import pytest
from sample_attic_tech import Response
from sample_attic_tech.receiver import running_receiver


def test_delivery_is_recorded_as_it_arrived_and_accepted_as_make_does() -> None:
    body = '{"event":"sync_estimates_completed", "café":"☕"}'.encode()

    with running_receiver() as receiver:
        answer = httpx.post(f"{receiver.url}/hook/x?y=1", content=body, headers={"Webhook-Id": "msg_1"})
        [delivery] = receiver.wait_for(1, timeout=0)

    assert (answer.status_code, answer.text) == (200, "Accepted")
    assert (delivery.method, delivery.path, delivery.query_string) == ("POST", "/hook/x", "y=1")
    assert delivery.headers["webhook-id"] == "msg_1"
    assert delivery.body == body
    assert abs(delivery.received_at - datetime.now(UTC)) < timedelta(seconds=10)


def test_scripted_answers_come_first_and_each_once() -> None:
    script = [Response(status=400, body=b"Queue is full."), Response(status=429, headers={"Retry-After": "2"})]

    with running_receiver(script) as receiver:
        answers = [httpx.post(receiver.url) for _ in range(3)]
        receiver.answers.append(Response(status=410, body=b"Webhook not found."))
        answers.append(httpx.post(receiver.url))

    assert [answer.status_code for answer in answers] == [400, 429, 200, 410]
    assert [answer.text for answer in answers] == ["Queue is full.", "", "Accepted", "Webhook not found."]
    assert answers[1].headers["Retry-After"] == "2"


def test_waiting_ends_when_the_delivery_arrives() -> None:
    with running_receiver() as receiver:
        sender = Thread(target=lambda: [httpx.post(receiver.url, content=text) for text in ("one", "two")])
        started = monotonic()
        sender.start()
        deliveries = receiver.wait_for(2, timeout=60)
        took = monotonic() - started
        sender.join()

    assert [delivery.body for delivery in deliveries] == [b"one", b"two"]
    assert took < 60


def test_waiting_in_vain_says_how_many_arrived() -> None:
    with running_receiver() as receiver:
        httpx.post(receiver.url)

        with pytest.raises(TimeoutError, match=r"1 of 2 deliveries arrived within 0\.05 s"):
            receiver.wait_for(2, timeout=0.05)
