"""An evaluation's speed beside a straightforward implementation of the same model.

Run `python benchmarks/evaluation.py`. The straightforward one is written here from the formulas, on
the same weights: one question at a time, its image encoded for it, a loop over all experts, and a
cache that grows by concatenation. Each runs in a process of its own, for the sake of its peak
memory, on batches prepared beforehand: the model in the box at the medium tier, where both must
give the same answers, on the CPU; and random weights of MolmoE-1B's size where there is a GPU. What
is done once for several questions counts for each of them: images per second are every question's,
prefilled tokens those of all prompts.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from moe import published_experts
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

import tierexp
from tierexp.data.datamodule import TierDataModule
from tierexp.data.tierqa import TierQA
from tierexp.data.tierqa.questions import PER_PICTURE
from tierexp.evaluation.latency_meter import StageTimes
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.models.molmo.checkpoint import MolmoCheckpoint
from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.engine import MolmoEngine
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.molmo.released import RELEASED
from tierexp.models.molmo.sizes import ConnectorConfig, VisionConfig
from tierexp.models.molmo.vision_backbone import CLIP_MEAN, CLIP_STD
from tierexp.models.stages import StageClock
from tierexp.tiers.files import load_tier

TINY = Path(tierexp.__file__).parent / "assets" / "tiny"
QUESTIONS, BATCH, NEW_TOKENS = 49, 14, 16


class Straightforward:
    """A Molmo mixture of experts, written down as one reads it; norms before the sublayers."""

    def __init__(self, model: MolmoEngine) -> None:
        self.config, self.end = model.network.config, model.end_of_text_id
        self.top_k, self.weights = model.top_k, model.network.state_dict()

    def linear(self, name: str, x: Tensor) -> Tensor:
        """The layer of that name."""
        return F.linear(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))

    def layer_norm(self, name: str, x: Tensor) -> Tensor:
        """The norm of that name."""
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.layer_norm(x, x.shape[-1:], weight, bias, self.config.vision.norm_eps)

    def rms_norm(self, name: str, x: Tensor) -> Tensor:
        """The norm of that name, in float32."""
        wide = x.float()
        root = (wide.square().mean(-1, keepdim=True) + self.config.decoder.norm_eps).rsqrt()
        return (wide * root).to(x.dtype) * self.weights[f"{name}.weight"]

    def vision_attention(self, name: str, queries: Tensor, keys: Tensor) -> Tensor:
        """The attention of that name, self- or cross-."""
        heads = self.config.vision.num_heads
        q, k, v = (
            self.linear(f"{name}.{letter}", x).unflatten(-1, (heads, -1)).transpose(1, 2)
            for letter, x in (("wq", queries), ("wk", keys), ("wv", keys))
        )
        return self.linear(
            f"{name}.wo", F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        )

    def vision_tokens(self, crops: Tensor, patch_mask: Tensor) -> Tensor:
        """(N, S, S, 3) uint8 and (N, P) to (N, K, C)."""
        vision, vit = self.config.vision, "vision_backbone.image_vit"
        side, size = vision.patches_per_side, vision.patch_size
        mean, std = (torch.tensor(values, device=crops.device) for values in (CLIP_MEAN, CLIP_STD))
        pixels = (crops / 255 - mean) / std
        grid = pixels.view(-1, side, size, side, size, 3).transpose(2, 3)
        x = self.linear(
            f"{vit}.patch_embedding",
            grid.reshape(len(crops), side**2, -1).to(self.weights[f"{vit}.class_embedding"].dtype),
        )
        start = self.weights[f"{vit}.class_embedding"].expand(len(x), 1, -1)
        x = torch.cat([start, x], dim=1) + self.weights[f"{vit}.positional_embedding"]
        x = self.layer_norm(f"{vit}.pre_ln", x)
        outputs = []
        for number in range(vision.num_layers):
            block = f"{vit}.transformer.resblocks.{number}"
            normed = self.layer_norm(f"{block}.attention_norm", x)
            x = x + self.vision_attention(f"{block}.attention", normed, normed)
            inner = self.linear(f"{block}.feed_forward.w1", self.layer_norm(f"{block}.ffn_norm", x))
            inner = inner * torch.sigmoid(1.702 * inner)
            x = x + self.linear(f"{block}.feed_forward.w2", inner)
            outputs.append(x[:, 1:])
        features = torch.cat([outputs[layer] for layer in vision.feature_layers], dim=-1)
        share = patch_mask[..., None]
        empty, partial = self.weights["vision_backbone.pad_embed"]
        features = torch.where(share == 0, features + empty, features)
        features = torch.where((share < 1) & (share != 0), features + partial, features)
        height, width = self.config.connector.pooling
        cells = features.view(-1, side // height, height, side // width, width, features.shape[-1])
        windows = cells.transpose(2, 3).flatten(0, 2).flatten(1, 2)  # (N K, window, C)
        mean_query = windows.mean(dim=1, keepdim=True)
        pooled = self.vision_attention("vision_backbone.image_pooling_2d", mean_query, windows)
        projector = "vision_backbone.image_projector"
        inner = F.silu(self.linear(f"{projector}.w1", pooled)) * self.linear(
            f"{projector}.w3", pooled
        )
        return self.linear(f"{projector}.w2", inner).view(len(crops), -1, self.config.decoder.width)

    def experts(self, name: str, tokens: Tensor) -> Tensor:
        """The experts' answers, (T, C)."""
        stacked, down = (self.weights[f"{name}.experts.{w}_proj"] for w in ("gate_up", "down"))
        return published_experts(
            tokens, self.linear(f"{name}.gate", tokens), stacked, down, self.top_k
        )

    def read(self, x: Tensor, cache: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Embedded tokens, (T, C), to the logits after the last; the cache grows."""
        decoder = self.config.decoder
        seen = cache[0][0].shape[1] if cache else 0
        half = torch.arange(0, decoder.head_dim, 2, device=x.device) / decoder.head_dim
        positions = torch.arange(seen, seen + len(x), device=x.device)
        angles = positions[:, None] * decoder.rope_theta**-half  # (T, D / 2)
        cos, sin = (f(angles).repeat(1, 2) for f in (torch.cos, torch.sin))  # (T, D)
        for number in range(decoder.num_layers):
            block = f"transformer.blocks.{number}"
            normed = self.rms_norm(f"{block}.attn.attn_norm", x)
            q, k, v = self.linear(f"{block}.attn.att_proj", normed).chunk(3, dim=-1)
            if decoder.qk_norm:
                q = self.rms_norm(f"{block}.attn.q_norm", q)
                k = self.rms_norm(f"{block}.attn.k_norm", k)
            q, k, v = (t.unflatten(-1, (decoder.num_heads, -1)).transpose(0, 1) for t in (q, k, v))
            q, k = ((t * cos + _turned(t) * sin).to(v.dtype) for t in (q, k))  # (H, T, D)
            if seen:
                k, v = torch.cat([cache[number][0], k], 1), torch.cat([cache[number][1], v], 1)
                cache[number] = k, v
            else:
                cache.append((k, v))
            attended = F.scaled_dot_product_attention(
                q[None], k[None], v[None], is_causal=not seen
            )[0]
            x = x + self.linear(f"{block}.attn.attn_out", attended.transpose(0, 1).flatten(1))
            x = x + self.experts(f"{block}.mlp", self.rms_norm(f"{block}.mlp.ff_norm", x))
        return self.linear("lm_head", self.rms_norm("transformer.ln_f", x[-1:]))[0]

    def generate(
        self, inputs: ModelInputs, max_new_tokens: int, *, clock: StageClock, fixed_length: bool
    ) -> Tensor:
        """One question's answer, (1, L)."""
        with clock.stage("vision"):
            features = self.vision_tokens(inputs.pixels[0], inputs.patch_mask[0])
        with clock.stage("prefill"):
            tables = [self.weights[f"transformer.wte.{t}embedding"] for t in ("", "new_")]
            embedding = torch.cat(tables)
            x = embedding[inputs.input_ids[0]]
            places = inputs.image_input_idx[0]
            x[places[places >= 0]] += features[places >= 0]
            cache: list[tuple[Tensor, Tensor]] = []
            answer = [int(self.read(x, cache).argmax())]
        with clock.stage("decode"):
            while len(answer) < max_new_tokens and (fixed_length or answer[-1] != self.end):
                answer.append(int(self.read(embedding[answer[-1:]], cache).argmax()))
        return torch.tensor([answer])


def _turned(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


@dataclass
class Job:
    """A model, its batches, and how what it generates is read."""

    model: MolmoEngine
    batches: list[ModelInputs]
    rows: list[Sequence[int]]  # of each batch, the numbers of its questions
    device: torch.device
    fixed_length: bool


def one_by_one(job: Job) -> tuple[list[ModelInputs], list[Sequence[int]]]:
    """The same questions, each in a batch of its own and without padding."""
    pairs = list(zip(job.batches, job.rows, strict=True))
    batches = [
        inputs.select(range(row, row + 1)) for inputs, rows in pairs for row in range(len(rows))
    ]
    return batches, [[number] for _, rows in pairs for number in rows]


def tiny() -> Job:
    """The model in the box on generated questions, at the medium tier."""
    source = MolmoCheckpoint(str(TINY))
    data = TierDataModule(
        TierQA("test", max_samples=QUESTIONS), source,
        Preprocessing(load_tier("medium"), geometry=source.geometry), BATCH, num_workers=0,
    )  # fmt: skip
    batches = list(data.test_dataloader())
    return Job(
        source.load(torch.device("cpu")),
        [batch.inputs for batch in batches],
        [[prepared.index for prepared in batch.prepared] for batch in batches],
        torch.device("cpu"),
        fixed_length=False,
    )


def random_molmoe(config: MolmoConfig, device: torch.device, dtype: torch.dtype) -> Job:
    """Random weights, and random questions of 6 crops and 32 words, some about the same image."""
    with torch.device("meta"):
        model = Molmo(config)
    model.to(dtype).to_empty(device=device)
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.02)
    per_crop, size = config.geometry.tokens_per_crop, config.vision.crop_size
    views, images = 7, BATCH // PER_PICTURE
    begin, questions = (
        torch.randint(config.decoder.vocab_size, shape)
        for shape in ((images, views * per_crop), (BATCH, 32))
    )
    text = torch.cat([begin.repeat_interleave(PER_PICTURE, dim=0), questions], dim=1)
    inputs = ModelInputs(
        input_ids=text,
        attention_mask=torch.ones_like(text, dtype=torch.bool),
        pixels=torch.randint(256, (images, views, size, size, 3), dtype=torch.uint8),
        patch_mask=torch.ones(images, views, config.vision.patches_per_side**2),
        image_input_idx=torch.arange(views * per_crop).view(1, views, -1).expand(BATCH, -1, -1),
        image_index=torch.arange(images).repeat_interleave(PER_PICTURE),
    ).to(device)
    return Job(MolmoEngine(model.eval()), [inputs], [range(BATCH)], device, fixed_length=True)


def molmoe() -> Job:
    connector = ConnectorConfig(pooling=(2, 2), hidden_width=1024)
    config = MolmoConfig(VisionConfig(), connector, RELEASED["MolmoE-1B-0924"])
    return random_molmoe(config, torch.device("cuda"), torch.bfloat16)


JOBS: dict[str, Callable[[], Job]] = {"tiny": tiny, "molmoe": molmoe}
IMPLEMENTATIONS = ("straightforward", "tierexp", "tierexp, compiled")


@torch.inference_mode()
def measure(job: Job, implementation: str) -> dict[str, object]:
    """Every figure of one implementation, and its answers."""
    if implementation == "straightforward":
        generate: Callable[..., Tensor] = Straightforward(job.model).generate
        batches, rows = one_by_one(job)
    else:
        job.model.encode_with("compile" if implementation.endswith("compiled") else "eager")
        generate, batches, rows = job.model.generate, job.batches, job.rows
    start = time.perf_counter()
    for inputs in {inputs.pixels.shape[:2]: inputs for inputs in batches}.values():  # warm up
        generate(inputs, 2, clock=StageTimes(job.device), fixed_length=job.fixed_length)
    warmed = time.perf_counter() - start
    clock, answers, steps = StageTimes(job.device), {}, 0
    for inputs, numbers in zip(batches, rows, strict=True):
        tokens = generate(inputs, NEW_TOKENS, clock=clock, fixed_length=job.fixed_length).tolist()
        for number, answer in zip(numbers, tokens, strict=True):
            end = job.model.end_of_text_id
            if not job.fixed_length and end in answer:
                answer = answer[: answer.index(end) + 1]
            answers[number] = answer
            steps += len(answer) - 1
    prompts = sum(int(inputs.attention_mask.sum()) for inputs in batches)
    if job.device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(job.device)
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        peak = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent = clock.seconds
    return {
        "images": len(answers) / spent["vision"],
        "prefill": prompts / spent["prefill"],
        "decode": steps / spent["decode"],
        "questions": len(answers) / sum(spent.values()),
        "peak": peak,
        "warm_up": warmed,
        "answers": answers,
    }


def in_its_own_process(name: str, implementation: str) -> dict[str, dict[str, list[int]]]:
    command = [sys.executable, __file__, "--job", name, "--implementation", implementation]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, dict[str, list[int]]] = json.loads(done.stdout)
    return result


def table(name: str) -> Iterator[str]:
    """One line per implementation, as it is measured."""
    yield (
        f"{name:20} {'questions/s':>11} {'images/s':>9} {'prefill tokens/s':>16}"
        f" {'decode tokens/s':>15} {'peak memory':>12} {'warm-up':>8} {'same answers':>12}"
    )
    expected = None
    for implementation in IMPLEMENTATIONS:
        found = in_its_own_process(name, implementation)
        expected = found["answers"] if expected is None else expected
        same = sum(found["answers"][number] == answer for number, answer in expected.items())
        # Random weights in bfloat16 leave the two likeliest tokens within a rounding of each other.
        assert same == len(expected) or name != "tiny", implementation
        yield (
            f"{implementation:20} {found['questions']:11.2f} {found['images']:9.2f}"
            f" {found['prefill']:16.0f} {found['decode']:15.1f}"
            f" {found['peak'] / 2**20:8.0f} MiB {found['warm_up']:6.1f} s"
            f" {same:5} of {len(expected)}"
        )


def main() -> None:
    """Print the tables; or, with arguments, measure one implementation for them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--job", choices=JOBS)
    parser.add_argument("--implementation", choices=IMPLEMENTATIONS)
    arguments = parser.parse_args()
    if arguments.job is not None:
        print(json.dumps(measure(JOBS[arguments.job](), arguments.implementation)))
        return
    for name in JOBS if torch.cuda.is_available() else ("tiny",):
        for line in table(name):
            print(line, flush=True)
    if not torch.cuda.is_available():
        print("no GPU: MolmoE-1B's size was not measured")


if __name__ == "__main__":
    main()
