"""How far a reader has to go who follows one sync: the bounds that the picture of the code was drawn with."""

from house_path import walk_post, walk_running_pass


def test_a_pass_over_a_running_sync_visits_few_modules_and_seldom_returns_to_one() -> None:
    stays = walk_running_pass()

    assert 1 < len(set(stays)) <= 9
    assert len(stays) - len(set(stays)) <= 12


def test_a_post_visits_few_modules() -> None:
    assert 1 < len(set(walk_post())) <= 15
