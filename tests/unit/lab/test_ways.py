"""Which service is meant by a name without its stack's."""

from __future__ import annotations

import pytest

from labctl.errors import NotFoundError, UsageError
from labctl.lab.ways import whole_name

NAMES = ["app_web", "shop_web", "shop_db", "web_cache", "alone"]


@pytest.mark.parametrize(("said", "meant"), [("app_web", "app_web"), ("db", "shop_db"), ("alone", "alone")])
def test_a_service_may_leave_out_its_stack(said: str, meant: str) -> None:
    assert whole_name(said, NAMES) == meant


def test_a_name_that_several_stacks_have_is_not_guessed() -> None:
    with pytest.raises(UsageError, match="2 stacks have a service web: app_web, shop_web"):
        whole_name("web", NAMES)


def test_a_service_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="shop_db"):
        whole_name("shop_dp", NAMES)
