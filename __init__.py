"""LoRA Atelier: the pack as ComfyUI loads it. Nothing of ComfyUI is imported before it asks for the nodes."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """ComfyUI calls this once, at its start."""
    from .nodes import LoraAtelier

    return LoraAtelier()
