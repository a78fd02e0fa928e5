"""Settings, judged before anything is begun."""

import pickle
from pathlib import Path

import pytest

from greenscope.app.settings import UnfitSetting, check_host, check_token, check_uds


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1", "[::1]", "::", "dash.example", "a_b"])
def test_host_that_can_be_meant_is_taken_as_it_is(host: str) -> None:
    assert check_host(host) == host


@pytest.mark.parametrize("wrong", ["", "with space", "tab\t", "é", "x" * 513, "new\nline", 987, None])
def test_token_that_no_header_can_carry_is_refused_and_not_told(wrong: object) -> None:
    with pytest.raises(UnfitSetting, match="token: ") as caught:
        check_token(wrong)
    assert not wrong or str(wrong) not in str(caught.value)


def test_socket_is_named_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_uds("socket") == tmp_path / "socket"


def test_unfit_setting_can_be_told_to_another_process() -> None:
    error = pickle.loads(pickle.dumps(UnfitSetting("port: 'x' does not fit; give a number")))
    assert (error.parameter, str(error)) == ("port", "port: 'x' does not fit; give a number")
