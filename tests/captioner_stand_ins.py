"""Small random BLIP and Florence-2 models with the files that their folders on the Hub have."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from PIL import Image
from tokenizers import ByteLevelBPETokenizer, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BlipConfig, BlipForConditionalGeneration

BLIP_SIDE, FLORENCE_SIDE = 32, 64
CLIP_MEAN, CLIP_DEVIATION = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
IMAGENET_MEAN, IMAGENET_DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

_BERT_WORDS = (
    "[PAD] [unused0] [unused1] [unused2] [unused3] [UNK] [CLS] [SEP] [MASK] ' - . , a an the of in on with and photo "
    "picture man woman cat dog hat red blue green house street sits runs holds s t shirt two small large old tree ##s "
    "##ing ##ed near black white"
).split()
_UNKNOWN, _START, _END, _MASK = 5, 6, 7, 8
_CORPUS = (
    "What does the image describe? Describe in detail what is shown in the image. Describe with a paragraph what is "
    "shown in the image. A photo of a man's hat near an old house. The street is white, the trees are green."
)
_LEGACY_GENERATION = {
    "add_cross_attention": False, "do_sample": False, "early_stopping": False, "max_length": 20, "min_length": 0,
    "no_repeat_ngram_size": 0, "num_beams": 1, "repetition_penalty": 1.0, "temperature": 1.0, "top_k": 50, "top_p": 1.0,
}  # fmt: skip
"""Settings that the configs on the Hub still carry from versions of transformers long gone."""


def write_blip(folder: Path, *, weights: str = "model.safetensors", seed: int = 0) -> Path:
    """Salesforce/blip-image-captioning-base in small: [DEC] and [ENC] have numbers, but no entry in the vocabulary."""
    folder.mkdir(parents=True)
    words = len(_BERT_WORDS)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        **sizes, "vocab_size": words + 2, "bos_token_id": words, "eos_token_id": 2, "pad_token_id": 0,
        "sep_token_id": _END, "max_position_embeddings": 512, "encoder_hidden_size": 32, "initializer_range": 0.4,
    }  # fmt: skip
    vision = {**sizes, "image_size": BLIP_SIDE, "patch_size": 8, "initializer_range": 0.4}
    config = BlipConfig(text_config=text, vision_config=vision, projection_dim=32)
    model = _random(BlipForConditionalGeneration, config, seed)
    with torch.no_grad():  # it must not write marks that are left out of the sentence, except the end
        model.text_decoder.cls.predictions.bias[[*range(_END), _MASK, words, words + 1]] = -100
    _save(folder, model, "BlipForConditionalGeneration", weights)
    settings = json.loads((folder / "config.json").read_text())
    settings["text_config"] |= _LEGACY_GENERATION
    _write(folder / "config.json", settings)
    _write(folder / "preprocessor_config.json", {
        "do_normalize": True, "do_resize": True, "image_mean": CLIP_MEAN, "image_processor_type": "BlipImageProcessor",
        "image_std": CLIP_DEVIATION, "processor_class": "BlipProcessor",
        "size": {"height": BLIP_SIDE, "width": BLIP_SIDE},
    })  # fmt: skip
    _write_bert_tokenizer(folder)
    return folder


def write_florence2(folder: Path, *, seed: int = 0) -> Path:
    """florence-community/Florence-2-base in small: the DaViT tower with its four stages, BART, the location tokens."""
    from transformers import Florence2Config, Florence2ForConditionalGeneration  # not in transformers before 4.56

    folder.mkdir(parents=True)
    words, size = _write_bart_tokenizer(folder)
    text = {
        "model_type": "bart", "vocab_size": -(-size // 64) * 64, "d_model": 32, "encoder_layers": 2,
        "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48, "max_position_embeddings": 1024, "bos_token_id": 0, "pad_token_id": 1,
        "eos_token_id": 2, "decoder_start_token_id": 2, "forced_bos_token_id": 0, "forced_eos_token_id": 2,
        "init_std": 0.4,
    }  # fmt: skip
    vision = {
        "embed_dim": (8, 16, 16, 32), "num_heads": (1, 2, 2, 4), "num_groups": (1, 2, 2, 4), "depths": (1, 1, 1, 1),
        "window_size": 4, "projection_dim": 32, "initializer_range": 0.4,
    }  # fmt: skip
    config = Florence2Config(text_config=text, vision_config=vision, image_token_id=size - 1)
    model = _random(Florence2ForConditionalGeneration, config, seed)
    with torch.no_grad():  # or it would write little else than <loc_...> and halves of letters
        model.model.language_model.shared.weight[4 : 4 + 256] = 0
        model.model.language_model.shared.weight[words:] = 0
    _save(folder, model, "Florence2ForConditionalGeneration", "model.safetensors")
    _write(folder / "preprocessor_config.json", {
        "crop_size": {"height": FLORENCE_SIDE, "width": FLORENCE_SIDE}, "do_center_crop": False,
        "do_convert_rgb": None, "do_normalize": True, "do_rescale": True, "do_resize": True,
        "image_mean": IMAGENET_MEAN, "image_processor_type": "CLIPImageProcessor",
        "image_seq_length": (FLORENCE_SIDE // 32) ** 2 + 1, "image_std": IMAGENET_DEVIATION,
        "processor_class": "Florence2Processor", "resample": 3, "rescale_factor": 0.00392156862745098,
        "size": {"height": FLORENCE_SIDE, "width": FLORENCE_SIDE},
    })  # fmt: skip
    _write(folder / "processor_config.json", {"processor_class": "Florence2Processor"})
    return folder


def picture(seed: int, size: tuple[int, int] = (90, 70)) -> Image.Image:
    """A picture of coarse random colours, another for each seed."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 256, (5, 7, 3), generator=generator, dtype=torch.uint8).numpy()
    return Image.fromarray(values, "RGB").resize(size, Image.Resampling.BICUBIC)


def _random(kind: type, config: object, seed: int) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(config).eval()


def _save(folder: Path, model: torch.nn.Module, kind: str, weights: str) -> None:
    model.save_pretrained(folder)
    if weights == "pytorch_model.bin":
        torch.save(model.state_dict(), folder / weights)
        (folder / "model.safetensors").unlink()
    assert json.loads((folder / "config.json").read_text())["architectures"] == [kind]


def _write_bert_tokenizer(folder: Path) -> None:
    (folder / "vocab.txt").write_text("\n".join(_BERT_WORDS) + "\n")
    vocabulary = {word: number for number, word in enumerate(_BERT_WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", _END), ("[CLS]", _START))
    tokenizer.add_special_tokens([_BERT_WORDS[0], *_BERT_WORDS[_UNKNOWN : _MASK + 1]])
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"}
    _write(folder / "special_tokens_map.json", {**names, "mask_token": "[MASK]"})
    _write(folder / "tokenizer_config.json", {
        **names, "mask_token": "[MASK]", "do_lower_case": True, "do_basic_tokenize": True, "model_max_length": 512,
        "processor_class": "BlipProcessor", "strip_accents": None, "tokenize_chinese_chars": True,
        "tokenizer_class": "BertTokenizer",
    })  # fmt: skip


def _write_bart_tokenizer(folder: Path) -> tuple[int, int]:
    """Byte-level BPE with Florence-2's added tokens, <image> being the last: how many there are without and with."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        [_CORPUS], vocab_size=400, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False
    )
    bpe.save_model(str(folder))
    words = bpe.get_vocab_size()
    tasks = ("od", "ocr", "cap", "dcap", "ncap", "poly", "and", "seg", "grounding", "proposal", "region_cap")
    added = ["<mask>", *(f"<{mark}{task}>" for task in tasks for mark in ("", "/")), "<sep>"]
    added += [*(f"<loc_{place}>" for place in range(1000)), "<image>"]
    bpe.add_special_tokens(added)
    bpe.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    bpe.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>"}
    names |= {"pad_token": "<pad>", "mask_token": "<mask>"}
    extra = {"extra_special_tokens": {"image_token": "<image>"}, "image_token": "<image>"}
    _write(folder / "special_tokens_map.json", {**names, "image_token": "<image>"})
    _write(folder / "tokenizer_config.json", {
        **names, **extra, "add_prefix_space": False, "model_max_length": 1024, "processor_class": "Florence2Processor",
        "tokenizer_class": "BartTokenizer", "trim_offsets": True,
    })  # fmt: skip
    return words, bpe.get_vocab_size()


def _write(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n")


def edit_json(file: Path, **changes: object) -> None:
    """Change top-level fields of a JSON file."""
    _write(file, {**json.loads(file.read_text()), **changes})
