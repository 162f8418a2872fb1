"""Forms: what is read of them, and what is written to a provider."""

from __future__ import annotations

import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.formparser import parse_form_data

from tests.unit.dialects.media.forms import file, form, made_of
from torana.dialects.media import decoded, outgoing
from torana.dialects.openai_audio import OPENAI_TRANSCRIPTIONS
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_images import OPENAI_IMAGE_EDITS, OPENAI_IMAGES
from torana.dialects.uploads import (
    PIECE,
    FormBody,
    FormField,
    FormFile,
    Upload,
    UploadRequest,
    texts_of,
)
from torana.dialects.wire import raw
from torana.errors import InvalidRequest, UnsupportedMediaType

NAMES = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters='%"\\'),
    min_size=1,
    max_size=20,
)


def asked(upload: Upload) -> UploadRequest:
    """A request of this form, whatever is in it."""
    return UploadRequest(
        model="asked",
        stream=False,
        include_usage=True,
        max_output=None,
        choices=1,
        size=upload.size,
        fields=texts_of(upload, repeated=[part.name for part in upload.parts]),
        upload=upload,
    )


def read_back(body: FormBody) -> tuple[list[tuple[str, str]], list[tuple[str, str, str, bytes]]]:
    """The fields and files of a body, as a server reads them."""
    data = b"".join(body.open())
    assert len(data) == body.length
    environment = {
        "wsgi.input": io.BytesIO(data),
        "CONTENT_LENGTH": str(len(data)),
        "CONTENT_TYPE": body.content_type,
        "REQUEST_METHOD": "POST",
    }

    def memory(*_told: object, **_more: object) -> io.BytesIO:
        return io.BytesIO()

    _, fields, files = parse_form_data(environment, memory, silent=False)
    found = [
        (name, each.filename or "", each.content_type or "", each.read())
        for name, each in files.items(multi=True)
    ]
    return list(fields.items(multi=True)), found


@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=200)), max_size=4, unique_by=lambda pair: pair[0]),
    st.lists(st.tuples(NAMES, NAMES, st.binary(max_size=2000)), max_size=3),
)
def test_a_form_reaches_the_provider_as_it_was_read(texts, files):
    fields = [FormField(name, text.hex().encode()) for name, text in texts if name != "model"]
    sent = [file(name, data, filename=filename) for name, filename, data in files]
    body = FormBody(asked(made_of(*fields, *sent)), model="theirs")
    got_fields, got_files = read_back(body)
    expected_fields = [(field.name, field.value.decode()) for field in fields]
    assert sorted(got_fields) == sorted([("model", "theirs"), *expected_fields])
    expected = [
        (each.name, each.filename, "audio/mpeg", each.read(0, each.size))
        for each in sent
        if each.name != "model"
    ]
    assert sorted(got_files) == sorted(expected)


def test_a_name_can_not_end_its_header():
    odd = file("file", b"x", filename='a"\r\nx-odd: 1')
    body = b"".join(FormBody(asked(made_of(odd)), model="m").open())
    assert b'filename="a%22%0D%0Ax-odd: 1"' in body


def test_a_body_can_be_read_again_and_is_never_whole_in_memory():
    large = b"x" * (2 * PIECE + 5)
    body = FormBody(asked(form(file("file", large), model="asked")), model="theirs")
    for _ in range(2):
        pieces = list(body.open())
        assert sum(map(len, pieces)) == body.length
        assert max(map(len, pieces)) <= PIECE


def test_a_file_that_became_shorter_is_noticed():
    gone = FormFile(
        name="file", filename="a", content_type="audio/mpeg", size=5, read=lambda *_: b""
    )
    with pytest.raises(OSError, match="shorter"):
        list(FormBody(asked(made_of(gone)), model="m").open())


def test_what_occurs_twice_is_refused_unless_it_is_a_list():
    parts = [FormField("include[]", b"a"), FormField("include[]", b"b")]
    assert msgspec.json.decode(texts_of(made_of(*parts))["include[]"]) == ["a", "b"]
    with pytest.raises(InvalidRequest) as caught:
        texts_of(made_of(FormField("model", b"a"), FormField("model", b"b")))
    assert caught.value.param == "model"
    with pytest.raises(InvalidRequest):
        texts_of(made_of(FormField("model", b"a"), file("model", b"b")))
    images = made_of(file("image", b"a"), file("image", b"b"))
    assert texts_of(images, repeated=("image",)) == {}


def test_a_text_that_is_none_is_refused():
    with pytest.raises(InvalidRequest, match="UTF-8"):
        texts_of(made_of(FormField("prompt", b"\xff")))


def test_a_file_in_the_place_of_a_text_is_refused():
    with pytest.raises(InvalidRequest) as caught:
        OPENAI_TRANSCRIPTIONS.decode_upload(
            form(file("prompt", b"x"), file("file", b"x"), model="m")
        )
    assert caught.value.param == "prompt"


def test_what_was_changed_in_the_fields_is_what_is_sent_and_counted():
    upload = form(
        file("image", b"x"), prompt="my mail is a@b.c", model="m", include__="a", user="ann"
    )
    request = OPENAI_IMAGE_EDITS.decode_upload(upload)
    masked = msgspec.structs.replace(
        request, fields=request.fields | {"prompt": raw("gone"), "include[]": raw(["b"])}
    )
    fields, _ = read_back(FormBody(masked, model="theirs", dropped=("user",)))
    assert fields == [("model", "theirs"), ("prompt", "gone"), ("include[]", "b")]
    costs = OPENAI_IMAGE_EDITS.read_costs(masked)
    assert (costs.text_bytes, costs.unruled) == (len("gone") + len("b"), ("include[]",))


@pytest.mark.parametrize("name", ["model", "n", "prompt", "size"])
def test_a_list_in_the_place_of_a_single_value_is_refused(name):
    upload = form(file("image", b"x"), model="m", prompt="p", **{f"{name}__": "5"})
    with pytest.raises(InvalidRequest) as caught:
        OPENAI_IMAGE_EDITS.decode_upload(upload)
    assert caught.value.param == name


def test_two_forms_are_the_same_request_only_with_the_same_files():
    one, two = (
        OPENAI_TRANSCRIPTIONS.decode_upload(form(file("file", data), model="m"))
        for data in (b"one", b"two")
    )
    assert one.fields["model"] == two.fields["model"]
    assert one.fields["file"] != two.fields["file"]


def test_each_route_takes_what_it_can_read():
    upload = form(file("image", b"x"), model="m", prompt="p")
    assert decoded(OPENAI_IMAGE_EDITS, upload).model == "m"
    for dialect in (OPENAI_IMAGES, OPENAI_CHAT):
        with pytest.raises(UnsupportedMediaType):
            decoded(dialect, upload)
    with pytest.raises(UnsupportedMediaType):
        decoded(OPENAI_TRANSCRIPTIONS, b'{"model":"m"}')


def test_a_request_goes_out_in_its_own_form():
    upload = form(file("image", b"x"), model="asked", prompt="p")
    sent = outgoing(OPENAI_IMAGE_EDITS, decoded(OPENAI_IMAGE_EDITS, upload), model="theirs")
    assert isinstance(sent.body, FormBody)
    assert sent.content_type.startswith("multipart/form-data; boundary=torana-")
    written = b'{"model":"asked","prompt":"p","images":[{}],"odd":1e2}'
    plain = outgoing(OPENAI_IMAGE_EDITS, decoded(OPENAI_IMAGE_EDITS, written), model="theirs")
    assert plain.body == b'{"model":"theirs","prompt":"p","images":[{}],"odd":1e2}'
    assert plain.content_type == "application/json"
