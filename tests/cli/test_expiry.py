"""expire: when a document is purged by itself."""

from __future__ import annotations

import datetime
import json

import pytest

from settee import ConfigError
from settee.cli.expiry import moment

pytestmark = pytest.mark.feature("EXP-01")


def test_an_expiry_is_set_shown_and_taken_back(run):
    run("put", "van", "a", "{}")
    assert run("expire", "van", "a").out == "never\n"
    assert run("expire", "van", "a", "2031-05-06T07:08:09+00:00").code == 0
    told = json.loads(run("expire", "van", "a", "--json").out)
    assert told == {"id": "a", "expires": "2031-05-06T07:08:09+00:00"}
    assert run("expire", "van", "a", "never").out == "never\n"
    assert json.loads(run("expire", "van", "a", "--json").out)["expires"] is None


def test_a_time_that_is_over_purges_now(run):
    run("put", "van", "a", "{}")
    assert "purged" in run("expire", "van", "a", "2001-01-01").out
    assert run("ls", "van").out == ""


def test_times_are_read_as_they_are_typed():
    assert moment("never") is None
    assert moment("90s") == datetime.timedelta(seconds=90)
    assert moment("2w") == datetime.timedelta(days=14)
    local = moment("2031-05-06T07:08")
    assert isinstance(local, datetime.datetime)
    assert local.tzinfo is not None
    assert local.hour == 7


@pytest.mark.parametrize("text", ["soon", "", "5", "5y", "-3d", "2031-13-01", "999999999w", "1.5h"])
def test_other_words_are_no_times(text):
    with pytest.raises(ConfigError):
        moment(text)


def test_a_missing_document_is_exit_code_3_and_a_bad_time_2(run):
    run("put", "van", "a", "{}")
    assert run("expire", "van", "b").code == 3
    assert run("expire", "van", "b", "7d").code == 3
    assert run("expire", "van", "a", "soon").code == 2
