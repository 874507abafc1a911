from __future__ import annotations

import pytest

from mlengine.stores.hooks.addresses import (
    AddressRefused,
    Target,
    is_public,
    parse_target,
    resolve,
)

PUBLIC = ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::"]
PRIVATE = [
    *("127.0.0.1", "10.1.1.1", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.1.1"),
    *("0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.2.1", "198.18.0.1"),
    *("::1", "::", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001:0:53aa:64c:0:0:80ff:fffe"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_this_network_is_not_however_it_is_written(address):
    assert not is_public(address)


def test_a_url_is_taken_apart():
    target = parse_target("https://hooks.example.com/a/b?token=1", allow_private=False)
    assert target == Target("https", "hooks.example.com", 443, "/a/b?token=1")
    assert parse_target("http://[::1]:8080", allow_private=True) == Target("http", "::1", 8080, "/")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",  # plain http goes to private addresses only
        "ftp://example.com/",
        "https://",
        "https:///path",
        "https://user:password@example.com/",
        "https://example.com/#part",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "https://a..b/",
        "https://example.com/\r\nX-Header: 1",
        "https://ex\u00e4mple.com/",
        f"https://example.com/{'a' * 2000}",
        f"https://{'a' * 64}.com/",
        "example.com",
        "",
    ],
)
def test_a_url_that_names_nobody_to_call_is_refused(url):
    with pytest.raises(ValueError, match=r"URL|[Pp]ort"):
        parse_target(url, allow_private=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::ffff:127.0.0.1", "2130706433"])
def test_a_name_of_this_machine_is_refused_by_its_address(host):
    target = Target("https", host, 443, "/")
    with pytest.raises(AddressRefused):
        resolve(target, allow_private=False)
    assert resolve(target, allow_private=True)


def test_an_address_of_the_internet_may_be_called():
    assert [
        address[0]
        for _, address in resolve(Target("https", "8.8.8.8", 443, "/"), allow_private=False)
    ] == ["8.8.8.8"]


def test_a_name_that_can_not_be_asked_for_is_not_known():
    with pytest.raises(OSError, match="domain name system"):
        resolve(Target("https", f"{'a' * 64}.com", 443, "/"), allow_private=True)


def test_a_scheme_that_is_refused_names_the_setting_that_allows_it():
    with pytest.raises(ValueError, match=r"not begin with https://; .* HOOKS_ALLOW_PRIVATE=true"):
        parse_target("http://127.0.0.1/", allow_private=False)
    with pytest.raises(ValueError, match=r"not begin with http.*://$"):
        parse_target("ftp://127.0.0.1/", allow_private=True)
