import ssl
from pathlib import Path

import pytest
from estimatesync_contract.tls_trust import name_system_authorities


def test_the_authorities_are_those_that_python_trusts() -> None:
    environment = {"LANG": "C.UTF-8"}

    name_system_authorities(environment)

    (place,) = environment.keys() - {"LANG"}
    trusted = ssl.get_default_verify_paths()
    assert environment[place] in {trusted.cafile, trusted.capath}
    assert Path(environment[place]).exists()


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_what_a_deployment_has_set_stays(name: str) -> None:
    environment = {name: "/etc/company"}

    name_system_authorities(environment)

    assert environment == {name: "/etc/company"}
