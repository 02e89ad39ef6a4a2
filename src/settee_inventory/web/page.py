"""The page that NiceGUI serves, its one Vue element, and the few plain routes beside it."""

from __future__ import annotations

import asyncio
import logging
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Final

from nicegui import app, ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from settee import NotFoundError, SetteeError
from settee_inventory.book import Content, InputError
from settee_inventory.web.actions import ActionError, perform
from settee_inventory.web.desk import Desk
from settee_inventory.web.diagnostics import bundle

__all__ = ["InventoryApp", "serve"]

_log: Final = logging.getLogger("settee_inventory")
_ASSETS: Final = Path(__file__).parent / "assets"
_PATHS: Final = ("/", "/browser", "/listener", "/activity", "/settings", "/item/{id}")
_STYLES: Final = ("tokens", "base", "shell", "list", "pages")
_ICON_FONT: Final = "2af55f54d9fac778.woff2"
_FOR_EVER: Final = "private, max-age=31536000, immutable"


class InventoryApp(Element, component="inventory_app.js", esm={"settee-inventory": "assets/js"}):
    """The whole page: it shows the state that it is given, and says what people do."""

    def __init__(self, desk: Desk, session: str) -> None:
        super().__init__()
        self._desk = desk
        self._session = session
        self._props["state"] = desk.state(session)
        self.on("act", self._acted)

    def show(self, patch: dict[str, Any]) -> None:
        """Send what has changed."""
        self.run_method("patch", patch)

    async def _acted(self, event: GenericEventArguments) -> None:
        request = event.args if isinstance(event.args, dict) else {}
        number, name, args = request.get("number"), request.get("name"), request.get("args")
        if not isinstance(name, str) or not isinstance(args, dict):
            return
        try:
            value = await perform(self._desk, self._session, name, args)
        except (ActionError, SetteeError) as error:
            self.run_method("answer", number, False, _sentence(error))
        except Exception:
            # It is in the log whole; a person gets a sentence, and the page goes on.
            _log.exception("the action %s failed", name)
            self.run_method("answer", number, False, "That did not work. The log has the details.")
        else:
            self.run_method("answer", number, True, value)


def _sentence(error: Exception) -> str:
    """The message, as a sentence: it begins with a capital and ends with a full stop."""
    text = str(error).strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "`")) else ".")


def serve(desk: Desk) -> None:
    """Make the pages and routes of `desk`."""
    app.add_static_files("/assets/produce", str(_pictures()))
    app.add_static_files("/assets", str(_ASSETS))
    version = metadata.version("settee")
    stamp = max(int(file.stat().st_mtime) for file in _ASSETS.rglob("*.css"))
    styles = "".join(
        f'<link rel="stylesheet" href="/assets/css/{name}.css?v={version}.{stamp}">'
        for name in _STYLES
    )
    for path in _PATHS:
        _page(path, desk, styles)
    app.add_api_route("/item/{id}/picture", _picture_setter(desk), methods=["POST"])
    app.add_api_route("/picture/{digest:path}", _picture_getter(desk), methods=["GET"])
    app.add_api_route("/thumb/{id}", _thumb_getter(desk), methods=["GET"])
    app.add_api_route("/diagnostics", _diagnostics(desk), methods=["GET"])


def _pictures() -> Path:
    return Path(str(resources.files("settee_inventory") / "pictures"))


def _page(path: str, desk: Desk, styles: str) -> None:
    @ui.page(path)
    async def page(request: Request) -> None:
        font = f"/_nicegui/{metadata.version('nicegui')}/static/fonts/{_ICON_FONT}"
        preload = f'<link rel="preload" href="{font}" as="font" type="font/woff2" crossorigin>'
        figtree = (
            '<link rel="preload" href="/assets/fonts/figtree-latin.woff2" as="font" '
            'type="font/woff2" crossorigin>'
        )
        ui.add_head_html(preload + figtree + styles)
        session = request.state.session
        element = InventoryApp(desk, session)
        detach = desk.attach(session, element.show)
        ui.context.client.on_delete(lambda: detach())


def _picture_setter(desk: Desk) -> Any:
    async def set_picture(request: Request) -> Response:
        if not desk.is_in(request.state.session) or desk.book is None:
            return PlainTextResponse("Log in first.", 403)
        if not desk.may_edit:
            return PlainTextResponse("You may look, and not change anything.", 403)
        async with request.form(max_files=1, max_fields=1) as form:
            upload = form.get("picture")
            if not isinstance(upload, UploadFile):
                return PlainTextResponse("There is no file in that.", 400)
            data = await upload.read()
        try:
            await desk.book.set_picture(request.path_params["id"], data)
        except (InputError, NotFoundError) as error:
            return PlainTextResponse(_sentence(error), 422)
        return PlainTextResponse("")

    return set_picture


def _picture_getter(desk: Desk) -> Any:
    async def get_picture(request: Request) -> Response:
        if not desk.is_in(request.state.session) or desk.book is None:
            return PlainTextResponse("Log in first.", 403)
        try:
            return _answer(await desk.book.picture(request.path_params["digest"]))
        except SetteeError:
            return _answer(None)  # No digest at all, or one of content that is damaged.

    return get_picture


def _thumb_getter(desk: Desk) -> Any:
    async def get_thumb(request: Request) -> Response:
        if not desk.is_in(request.state.session) or desk.book is None:
            return PlainTextResponse("Log in first.", 403)
        try:
            return _answer(await desk.book.thumbnail(request.path_params["id"]))
        except SetteeError:
            return _answer(None)

    return get_thumb


def _answer(content: Content | None) -> Response:
    """Return a picture that a browser takes for nothing but a picture."""
    if content is None or not content.content_type.startswith("image/"):
        return PlainTextResponse("There is no such picture here.", 404)
    headers = {"cache-control": _FOR_EVER, "content-security-policy": "sandbox"}
    return Response(content.data, media_type=content.content_type, headers=headers)


def _diagnostics(desk: Desk) -> Any:
    async def diagnostics(request: Request) -> Response:
        if not desk.is_in(request.state.session):
            return PlainTextResponse("Log in first.", 403)
        data = await asyncio.to_thread(bundle, await desk.diagnosis())
        headers = {"content-disposition": 'attachment; filename="settee-diagnostics.zip"'}
        return Response(data, media_type="application/zip", headers=headers)

    return diagnostics
