"""Transformers' models from small configurations: text, images, sound."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import transformers
from torch import Tensor, nn

from tests.zoo.architecture import Architecture, Shapes, image

TOKENS = 64
TEXT: Shapes = ((2, 16),)


class First(nn.Module):
    """A model whose only output is its first: the last hidden state, or the logits."""

    def __init__(self, model: nn.Module, **given: Any) -> None:
        super().__init__()
        self.model, self.given = model, given

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x, return_dict=False, **self.given)[0]


def build(model: str, config: str, sizes: dict[str, Any], **given: Any) -> nn.Module:
    """A model of a configuration; `Model.encoder` is a part of one."""
    name, _, part = model.partition(".")
    net = getattr(transformers, name)(getattr(transformers, config)(**sizes))
    return First(getattr(net, part) if part else net, **given)


def model(kind: str, config: str, sizes: dict[str, Any], **given: Any) -> Callable[[], nn.Module]:
    return partial(build, kind, config, sizes, **given)


def text(name: str, kind: str, config: str, dynamic: bool = False, **sizes: Any) -> Architecture:
    make = model(kind, config, {"vocab_size": TOKENS, **sizes})
    return Architecture(name, "transformers", make, TEXT, TOKENS, dynamic)


def decoder(name: str, kind: str, config: str, **sizes: Any) -> Architecture:
    """A model that would hand out its keys and values too."""
    make = model(kind, config, {"vocab_size": TOKENS, **sizes}, use_cache=False)
    return Architecture(name, "transformers", make, TEXT, TOKENS)


def vision(name: str, kind: str, config: str, size: int = 64, **sizes: Any) -> Architecture:
    return Architecture(name, "transformers", model(kind, config, sizes), image(size))


ENCODER = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
}
GROUPED = ENCODER | {"num_key_value_heads": 2}
HALVES = {
    "d_model": 128,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 256,
    "decoder_ffn_dim": 256,
}
PYRAMID = {"hidden_sizes": [32, 64, 96, 128], "depths": [1, 1, 1, 1]}
WHISPER = HALVES | {
    "max_source_positions": 32,
    "vocab_size": TOKENS,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
WAV2VEC2 = ENCODER | {
    "conv_dim": [64] * 4,
    "conv_stride": [5, 2, 2, 2],
    "conv_kernel": [10, 3, 3, 2],
    "num_feat_extract_layers": 4,
}

ARCHITECTURES = (
    text("bert", "BertModel", "BertConfig", dynamic=True, **ENCODER),
    text("roberta", "RobertaModel", "RobertaConfig", **ENCODER),
    text("albert", "AlbertModel", "AlbertConfig", embedding_size=64, **ENCODER),
    text(
        "deberta_v2",
        "DebertaV2Model",
        "DebertaV2Config",
        relative_attention=True,
        position_buckets=16,
        pos_att_type=["p2c", "c2p"],
        **ENCODER,
    ),
    text(
        "distilbert",
        "DistilBertModel",
        "DistilBertConfig",
        dim=128,
        n_layers=2,
        n_heads=4,
        hidden_dim=256,
    ),
    text(
        "t5_encoder",
        "T5EncoderModel",
        "T5Config",
        d_model=128,
        d_kv=32,
        d_ff=256,
        num_layers=2,
        num_heads=4,
    ),
    text("bart_encoder", "BartModel.encoder", "BartConfig", **HALVES),
    text("clip_text", "CLIPTextModel", "CLIPTextConfig", **ENCODER),
    decoder("gpt2", "GPT2LMHeadModel", "GPT2Config", n_embd=128, n_layer=2, n_head=4),
    decoder("gpt_neox", "GPTNeoXModel", "GPTNeoXConfig", **ENCODER),
    decoder("phi", "PhiModel", "PhiConfig", **ENCODER),
    decoder("llama", "LlamaForCausalLM", "LlamaConfig", **GROUPED),
    decoder("qwen2", "Qwen2Model", "Qwen2Config", **GROUPED),
    decoder("gemma", "GemmaModel", "GemmaConfig", head_dim=32, **GROUPED),
    vision("hf_vit", "ViTModel", "ViTConfig", image_size=64, **ENCODER),
    vision("deit", "DeiTModel", "DeiTConfig", image_size=64, **ENCODER),
    vision("beit", "BeitModel", "BeitConfig", image_size=64, **ENCODER),
    vision("dinov2", "Dinov2Model", "Dinov2Config", 56, image_size=56, patch_size=14, **ENCODER),
    vision("dinov3", "DINOv3ViTModel", "DINOv3ViTConfig", image_size=64, **ENCODER),
    vision("clip_vision", "CLIPVisionModel", "CLIPVisionConfig", image_size=64, **ENCODER),
    vision("siglip", "SiglipVisionModel", "SiglipVisionConfig", image_size=64, **ENCODER),
    vision("yolos", "YolosModel", "YolosConfig", image_size=[64, 64], **ENCODER),
    vision(
        "hf_swin",
        "SwinModel",
        "SwinConfig",
        image_size=64,
        embed_dim=32,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=4,
    ),
    vision(
        "segformer",
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        num_attention_heads=[1, 2, 4, 8],
        decoder_hidden_size=128,
        **PYRAMID,
    ),
    vision("convnext_v2", "ConvNextV2Model", "ConvNextV2Config", **PYRAMID),
    vision("poolformer", "PoolFormerModel", "PoolFormerConfig", **PYRAMID),
    vision("mobilevit", "MobileViTModel", "MobileViTConfig"),
    Architecture(
        "whisper_encoder",
        "transformers",
        model("WhisperModel.encoder", "WhisperConfig", WHISPER),
        ((2, 80, 64),),
    ),
    Architecture(
        "wav2vec2",
        "transformers",
        model("Wav2Vec2Model", "Wav2Vec2Config", WAV2VEC2),
        ((1, 2000),),
    ),
)
