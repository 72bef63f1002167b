"""Cookies that another host of the domain can set beside ours."""

from __future__ import annotations

from string import ascii_letters

from hypothesis import strategies as st

# Browsers trim SP and HTAB from a name (RFC 6265 section 5.2, step 4), and then look at the prefix;
# `;` and `=` end one. Each byte is tried alone, controls included: some browser or other sends them.
_BYTES = [chr(byte) for byte in range(0x100) if chr(byte) not in " \t;="]


def similar_cookie_pairs(name: str) -> st.SearchStrategy[str]:
    """`Cookie` pairs whose name is not `name` to a browser, however much it looks like it."""
    affix = st.text(st.sampled_from(_BYTES), min_size=1, max_size=3)
    value = st.text(st.sampled_from([*ascii_letters, "%", '"', " ", "\x85"]), max_size=50)
    renamed = st.one_of(
        st.sampled_from(_BYTES).map(lambda byte: byte + name),
        st.sampled_from(_BYTES).map(lambda byte: name + byte),
        st.tuples(affix, affix).map(lambda ends: ends[0] + name + ends[1]),
        st.sampled_from([name.lower(), name.upper(), name.removeprefix("__Host-")]),
    ).filter(lambda other: other != name)
    return st.one_of(
        st.tuples(renamed, value).map("=".join),
        st.sampled_from([name, f"={name}", f"={name}=x"]),  # no name at all
    )


def cookie_header_orders(pair: str, other: str) -> tuple[tuple[str, ...], ...]:
    """The ways in which both arrive."""
    return (f"{other}; {pair}",), (f"{pair}; {other}",), (other, pair)
