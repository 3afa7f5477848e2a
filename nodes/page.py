"""What the page may ask this pack, put into ComfyUI's table of routes."""

from . import host
from .preset_routes import add_preset_routes
from .routes import Routes
from .run_routes import add_run_routes
from .tag_routes import TagPlaces, TagRoutes
from .tagger_routes import TaggerRoutes


def add_routes() -> None:
    """Called once, before ComfyUI starts to listen."""
    routes = Routes(host.route_table())
    writable = [root for name, roots in host.picture_roots().items() if name != "demo" for root in roots]
    readable = [root for roots in host.picture_roots().values() for root in roots]
    places = TagPlaces(
        boards=host.boards_folder(),
        answers=host.answers_folder(),
        pictures=(*readable, host.pictures_folder()),
        captions=tuple(writable),
    )
    TagRoutes(places).add(routes)
    TaggerRoutes(host.tagger_places, host.list_found_taggers).add(routes)
    add_preset_routes(routes)
    add_run_routes(routes)
