"""When two addresses of an API are the same one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.urls import normalised


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("HTTPS://API.Example", "https://api.example"),
        ("https://api.example:8443/Base/", "https://api.example:8443/Base"),
        ("https://API.example//", "https://api.example"),
        ("https://api.example:443", "https://api.example:443"),
        ("HTTP://[FE80::1%Eth0]:80/", "http://[fe80::1%Eth0]:80"),
        ("local", "local"),
        ("Local/", "Local/"),
        ("https://", "https://"),
        ("", ""),
    ],
)
def test_case_of_scheme_and_host_and_a_slash_at_the_end_make_no_difference(
    written: str, meant: str
) -> None:
    assert normalised(written) == meant


@given(st.text(max_size=20) | st.text(max_size=20).map("https://{}".format))
def test_the_one_form_is_its_own(url: str) -> None:
    assert normalised(normalised(url)) == normalised(url)
