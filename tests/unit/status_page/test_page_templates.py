"""A server compiles a template with the first page that needs it; an error in one shows here."""

import pytest
from estimatesync_api.status_page.rendering import ENVIRONMENT


@pytest.mark.parametrize("name", ENVIRONMENT.list_templates())
def test_every_template_can_be_compiled(name: str) -> None:
    assert ENVIRONMENT.get_template(name).name == name
