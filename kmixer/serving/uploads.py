"""The image file in a request: its whole body, or the one file of a form."""

from collections.abc import AsyncGenerator

from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

MAX_FIELDS = 16  # of a form, beside its file
EXAMPLE = "curl -F file=@photo.jpg …/classify, or curl --data-binary @photo.jpg …/classify"


def check_encoding(headers: Headers) -> None:
    """Refuse a compressed body: what it unpacks to could be of any length."""
    encoding = headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise HTTPException(
            415, f"Content-Encoding: received {encoding[:50]!r}, expected an uncompressed body"
        )


async def uploaded_file(headers: Headers, body: bytes) -> bytes:
    """Return the image file of a request.

    Args:
        headers: of the request.
        body: of the request; a form (`multipart/form-data`) holds one file, in a field of any name.

    Raises:
        HTTPException: 400 if there is no file, or more than one.
    """
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        if not body:
            raise HTTPException(400, f"no image in the body; send one so: {EXAMPLE}")
        return body
    files = await _files_of_form(headers, body)
    if len(files) != 1:
        raise HTTPException(
            400, f"form: received {len(files)} files, expected one, such as: {EXAMPLE}"
        )
    return files[0]


class _FormParser(MultiPartParser):
    """Starlette's parser, which also refuses a form that was cut off.

    Args:
        headers: of the request.
        body: of the request.
    """

    def __init__(self, headers: Headers, body: bytes) -> None:
        super().__init__(headers, self._pieces(body), max_files=MAX_FIELDS, max_fields=MAX_FIELDS)
        self.spool_max_size = len(body) + 1  # all in memory, where the body is already
        self._ended = False

    def on_end(self) -> None:
        self._ended = True

    async def _pieces(self, body: bytes) -> AsyncGenerator[bytes, None]:
        yield body
        if not self._ended:  # raised here, the parser closes the files that it has begun
            raise MultiPartException("it ends before its last boundary")


async def _files_of_form(headers: Headers, body: bytes) -> list[bytes]:
    parser = _FormParser(headers, body)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, f"form: {error.message}") from None
    try:
        values = [value for _, value in form.multi_items()]
        return [await value.read() for value in values if isinstance(value, UploadFile)]
    finally:
        await form.close()
