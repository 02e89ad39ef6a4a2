"""Which cookies are kept, and which go along: RFC 6265, and what is stricter here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee.limits import COOKIE_BYTES_MAX, COOKIE_HEADER_BYTES_MAX, COOKIES_PER_DOMAIN_MAX
from settee.net.cookies import Cookie, CookieJar, domains_above

pytestmark = pytest.mark.feature("REP-15")

NOW = 1_800_000_000.0
HOST = "sync.example.com"
PATH = "/db/_blipsync"


def jar_with(
    *lines: str, parents: bool = False, secure: bool = True, host: str = HOST
) -> CookieJar:
    jar = CookieJar(parent_domains=parents)
    jar.take(secure=secure, host=host, path=PATH, wall_s=NOW, set_cookie=lines)
    return jar


def sent(
    jar: CookieJar,
    *,
    host: str = HOST,
    path: str = PATH,
    secure: bool = True,
    later_s: float = 0.0,
    but: frozenset[str] = frozenset(),
) -> str:
    return jar.header(secure=secure, host=host, path=path, wall_s=NOW + later_s, but=but)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("a=1", "a=1"),
        ("  a = 1 ; Path=/", "a=1"),
        ("a=", "a="),
        ('a="x y"', 'a="x y"'),
        ("a=b=c", "a=b=c"),
        ("a=1; Unknown; HttpOnly; SameSite=Lax", "a=1"),
        ("a=1; Path=nonsense", "a=1"),
        ("a=1; Max-Age=soon", "a=1"),
        ("a=1; Domain=", "a=1"),
        ("a=1; Domain=sync.example.com", "a=1"),
        ("a=1; Domain=.SYNC.example.com.", "a=1"),
        # What is no cookie, or not for this host, is left out.
        ("", ""),
        ("a", ""),
        ("=1", ""),
        ("a b=1", ""),
        ("a=1\x00", ""),
        ("a=\u00fc", ""),
        ("a=1; Domain=example.com", ""),
        ("a=1; Domain=other.example.com", ""),
        ("a=1; Domain=sync.example.com.evil.org", ""),
        ("a=1; Path=/other", ""),
        ("a=1; Path=/d", ""),
        ("a=1; Max-Age=0", ""),
        ("a=1; Max-Age=-5", ""),
        ("a=1; Expires=Wed, 09 Jun 2021 10:18:14 GMT", ""),
    ],
)
def test_each_line_is_kept_or_ignored(line: str, value: str) -> None:
    assert sent(jar_with(line)) == value


def test_a_cookie_goes_to_its_own_host_and_below_its_own_path_only() -> None:
    jar = jar_with("a=1; Path=/db")
    assert sent(jar, path="/db") == "a=1"
    assert sent(jar, path="/db/x?y") == "a=1"
    assert sent(jar, path="/dbx") == ""
    assert sent(jar, host="x." + HOST) == ""
    assert sent(jar, host="example.com") == ""
    assert sent(jar_with("a=1"), path="/db/other") == "a=1", "the directory of the request"
    assert sent(jar_with("a=1"), path="/other") == ""


def test_a_domain_lets_a_cookie_go_to_hosts_below_it() -> None:
    jar = jar_with("a=1; Domain=sync.example.com")
    assert sent(jar, host="x." + HOST) == "a=1"
    assert sent(jar, host="xsync.example.com") == ""


def test_parent_domains_are_for_those_who_ask_and_never_a_whole_registry() -> None:
    jar = jar_with("a=1; Domain=example.com", "b=2; Domain=com", parents=True)
    assert sent(jar) == "a=1"
    assert sent(jar, host="other.example.com") == "a=1"
    assert sent(jar_with("a=1; Domain=0.0.1", parents=True, host="127.0.0.1"), host="1.0.0.1") == ""


def test_a_cookie_that_came_over_tls_never_leaves_tls() -> None:
    jar = jar_with("a=1")
    assert sent(jar) == "a=1"
    assert sent(jar, secure=False) == ""
    plain = jar_with("a=1", "b=2; Secure", secure=False)
    assert sent(plain, secure=False) == "a=1", "nobody without TLS can set a secure one"
    assert sent(plain) == "a=1"


def test_time_ends_cookies_and_the_age_counts_before_the_date() -> None:
    jar = jar_with("a=1; Max-Age=60; Expires=Wed, 09 Jun 2021 10:18:14 GMT", "b=2")
    assert sent(jar, later_s=59) == "a=1; b=2"
    assert sent(jar, later_s=61) == "b=2"
    assert [c.name for c in jar.lasting(HOST)] == ["a"]
    assert jar.lasting(HOST)[0].expires_s == NOW + 60
    ages = jar_with("a=1; Max-Age=999999999999").lasting(HOST)
    assert ages[0].expires_s == NOW + 400 * 86400


@pytest.mark.parametrize(
    "text",
    [
        "Fri, 15 Jan 2027 09:00:00 GMT",
        "Friday, 15-Jan-27 09:00:00 GMT",
        "Fri Jan 15 09:00:00 2027",
        "15 jan 2027 9:00:00",
    ],
)
def test_dates_are_read_in_every_form_that_servers_write(text: str) -> None:
    (cookie,) = jar_with(f"a=1; Expires={text}").lasting(HOST)
    assert cookie.expires_s == NOW + 3600


@pytest.mark.parametrize(
    "text", ["", "soon", "31 Feb 2027 08:00:00", "15 Jan 1600 08:00:00", "15 Jan 2027 24:00:00"]
)
def test_what_is_no_date_makes_a_cookie_of_this_run(text: str) -> None:
    jar = jar_with(f"a=1; Expires={text}")
    assert jar.lasting(HOST) == []
    assert sent(jar) == "a=1"


def test_a_cookie_is_replaced_deleted_and_left_out_by_name() -> None:
    jar = jar_with("a=1; Max-Age=9", "b=2")
    jar.take(secure=True, host=HOST, path=PATH, wall_s=NOW, set_cookie=["a=3; Max-Age=9"])
    assert sent(jar) == "b=2; a=3"
    assert sent(jar, but=frozenset({"a"})) == "b=2"
    jar.changed.clear()
    jar.take(secure=True, host=HOST, path=PATH, wall_s=NOW, set_cookie=["a=; Max-Age=0"])
    assert sent(jar) == "b=2"
    assert jar.changed == {HOST}


def test_the_longest_path_comes_first() -> None:
    assert sent(jar_with("a=1; Path=/", "b=2; Path=/db/_blipsync", "c=3; Path=/db")) == (
        "b=2; c=3; a=1"
    )


def test_a_flood_of_cookies_is_bounded() -> None:
    jar = jar_with(*(f"c{n}=1" for n in range(COOKIES_PER_DOMAIN_MAX)))
    assert sent(jar).count("=") == COOKIES_PER_DOMAIN_MAX
    jar = jar_with(*(f"c{n}=1" for n in range(100 * COOKIES_PER_DOMAIN_MAX)))
    assert sent(jar).count("=") == COOKIES_PER_DOMAIN_MAX
    assert sent(jar).startswith("c1980=1")
    assert sent(jar_with("a=" + "x" * (COOKIE_BYTES_MAX - 1))) != ""
    assert sent(jar_with("a=" + "x" * COOKIE_BYTES_MAX)) == ""
    assert sent(jar_with("a=" + "x" * 100 * COOKIE_BYTES_MAX)) == ""
    large = jar_with(*(f"c{n}=" + "x" * 4000 for n in range(5)))
    assert 4000 < len(sent(large)) <= COOKIE_HEADER_BYTES_MAX


def test_kept_cookies_are_loaded_and_do_not_replace_newer_ones() -> None:
    jar = jar_with("a=new")
    old = Cookie("a", "old", HOST, True, "/db", True, NOW + 9)
    jar.load([old, old._replace(name="b", value="kept")])
    assert sent(jar) == "a=new; b=kept"


def test_the_domains_above_a_host_end_before_the_registry() -> None:
    assert domains_above("A.b.example.com.") == ["a.b.example.com", "b.example.com", "example.com"]
    assert domains_above("localhost") == ["localhost"]
    assert domains_above("192.0.2.1") == ["192.0.2.1"]
    assert domains_above("fe80::1") == ["fe80::1"]


@given(st.text(max_size=60), st.sampled_from(["", "a=1; Expires=", "a=1; Domain=", "a=1; Path="]))
def test_no_line_breaks_the_jar_or_the_header(text: str, before: str) -> None:
    header = sent(jar_with(before + text, parents=True))
    assert all(32 <= ord(c) < 127 for c in header)
