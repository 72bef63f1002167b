from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.header_template import parse_header_template


def rendered(text: str) -> str:
    return parse_header_template(text).render(lambda reference: f"<{','.join(reference)}>")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("plain", "plain", id="plain"),
        pytest.param("", "", id="empty"),
        pytest.param("a $$ b $$ c", "a $ b $ c", id="escaped dollars"),
        pytest.param("$$pomerium.jwt", "$pomerium.jwt", id="escaped reference"),
        pytest.param("$$$pomerium.jwt", "$<pomerium,jwt>", id="dollar before a reference"),
        pytest.param("${a.b.c}", "<a,b,c>", id="long"),
        pytest.param("${ a .\tb . c }", "<a,b,c>", id="white space"),
        pytest.param('${a["b"].c}', "<a,b,c>", id="quoted step"),
        pytest.param(r'${a["\\"]}', "<a,\\>", id="escaped backslash"),
        pytest.param(r'${a["\""]}', '<a,">', id="escaped quote"),
        pytest.param("$a.b", "<a,b>", id="short"),
        pytest.param("x$a.b y", "x<a,b> y", id="short within text"),
        pytest.param("$a.X-B", "<a,X-B>", id="hyphens are part of a name"),
        pytest.param("${a}${b}", "<a><b>", id="neighbours"),
        pytest.param("${", "${", id="unfinished"),
        pytest.param("${}", "${}", id="nothing inside"),
        pytest.param('${a["', '${a["', id="unfinished string"),
        pytest.param("$ab.", "$ab.", id="unfinished short path"),
        pytest.param("${a.}", "${a.}", id="unfinished path"),
        pytest.param("cost: 5$", "cost: 5$", id="dollar at the end"),
        pytest.param("$ 5", "$ 5", id="dollar before a blank"),
        pytest.param(
            'Bearer ${pomerium.request.headers["X-Token"]}',
            "Bearer <pomerium,request,headers,X-Token>",
            id="header of the request",
        ),
    ],
)
def test_templates(text: str, expected: str) -> None:
    assert rendered(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            "${pomerium.access_token}", "`pomerium.access_token` is not", id="access token"
        ),
        pytest.param("Bearer $pomerium.id_token", "`pomerium.id_token` is not", id="id token"),
        pytest.param('${pomerium.request.headers["COOKIE"]}', "holds the session", id="cookie"),
        pytest.param("$pomerium.request.headers.cookie", "holds the session", id="cookie, short"),
        pytest.param("a\r\nX-Admin: 1", "a header cannot carry", id="second line"),
        pytest.param("höher", "a header cannot carry", id="not ASCII"),
    ],
)
def test_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_header_template(text)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_what_is_put_in_is_never_read_again(text: str) -> None:
    try:
        template = parse_header_template(f"{text}${{pomerium.jwt}}")
    except ValueError:
        return
    assert template.render(lambda _: "${a}$$").count("${a}$$") >= len(tuple(template.references))


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_doubled_dollars_make_any_text_plain(text: str) -> None:
    assert rendered(text.replace("$", "$$")) == text
