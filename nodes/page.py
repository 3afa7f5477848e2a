"""What the page may ask this pack, put into ComfyUI's table of routes."""

from ..trainer_core.crop.board import CropBoard
from ..trainer_core.health.board import HealthBoard
from . import host
from .arithmetic_routes import add_arithmetic_routes
from .board_routes import BoardRoutes
from .preset_routes import add_preset_routes
from .routes import Routes
from .run_routes import RunRoutes
from .tag_routes import TagPlaces, TagRoutes
from .tagger_routes import TaggerRoutes


def add_routes() -> None:
    """Called once, before ComfyUI starts to listen."""
    routes = Routes(host.route_table())
    writable = [root for name, roots in host.picture_roots().items() if name != "demo" for root in roots]
    readable = [root for roots in host.picture_roots().values() for root in roots]
    shown = (*readable, host.pictures_folder())
    places = TagPlaces(
        boards=host.boards_folder(),
        answers=host.answers_folder(),
        pictures=shown,
        captions=tuple(writable),
    )
    TagRoutes(places).add(routes)
    BoardRoutes("crops", CropBoard, host.crop_boards_folder(), shown).add(routes)
    BoardRoutes("health", HealthBoard, host.health_boards_folder(), shown).add(routes)
    TaggerRoutes(host.tagger_places, host.list_found_taggers).add(routes)
    add_preset_routes(routes)
    RunRoutes(host.runs_folder(), shown).add(routes)
    add_arithmetic_routes(routes)
