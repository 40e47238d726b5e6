"""Which addresses a callback may go to: everything special is refused, on every version of Python."""

import re
from ipaddress import ip_address

import pytest
from estimatesync_contract.callback_url import TargetRefusedError, decide_address, decide_addresses

PUBLIC = ("1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "198.20.0.1", "223.255.255.255")
PUBLIC_IPV6 = ("2606:4700::1111", "2a05:d018::1", "2001:4860:4860::8888", "2003::1", "::ffff:1.1.1.1")
LOCAL = (
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1", "127.0.0.1", "127.9.9.9"),
    *("100.64.0.1", "100.127.255.255", "::1", "fd00::1", "fc00::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1"),
    *("64:ff9b::1.1.1.1", "64:ff9b::10.0.0.1"),
)
NEVER = (
    *("0.0.0.1", "0.1.2.3", "169.254.169.254", "192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1.1.1.1", "::127.0.0.1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "5f00::1"),
    *("2001::1", "2001:2::1", "2001:db8::1", "2002:a00:1::1", "2002:101:101::1", "3fff::1", "100::1", "64:ff9b:1::1"),
    *("::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "64:ff9b::224.0.0.1", "::ffff:0.0.0.0"),
    *("100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"),
)


@pytest.mark.parametrize("text", [*PUBLIC, *PUBLIC_IPV6])
def test_public_address_may_be_called(text: str) -> None:
    assert decide_address(ip_address(text), allow_private=False) is None


@pytest.mark.parametrize("text", LOCAL)
def test_local_address_must_be_allowed(text: str) -> None:
    refusal, allowed = (decide_address(ip_address(text), allow_private=allow) for allow in (False, True))

    assert refusal is not None
    assert refusal.can_be_allowed
    assert allowed is None


@pytest.mark.parametrize("allow_private", [False, True])
@pytest.mark.parametrize("text", NEVER)
def test_special_address_is_never_called(text: str, allow_private: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    assert decide_address(ip_address(text), allow_private=allow_private) is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "::ffff:10.0.0.1",
            "leads to 10.0.0.1, which is refused: the address is private; set CALLBACK_ALLOW_PRIVATE_TARGETS=true",
            id="one that a setting allows",
        ),
        pytest.param(
            "169.254.169.254",
            "leads to 169.254.169.254, which is refused: the address is link-local; use a public one",
            id="one that nothing allows",
        ),
    ],
)
def test_one_bad_address_spoils_the_name(text: str, message: str) -> None:
    with pytest.raises(TargetRefusedError, match=re.escape(message)):
        decide_addresses(["1.1.1.1", text], allow_private=False)


def test_good_addresses_keep_their_order_unwrapped_and_once() -> None:
    addresses = decide_addresses(["2606:4700::1111", "::ffff:1.1.1.1", "1.1.1.1"], allow_private=False)

    assert [str(address) for address in addresses] == ["2606:4700::1111", "1.1.1.1"]
