"""One GPU, measured in at most eight minutes: `python benchmarks/gpu.py --out gpu`.

Needs this repository and torch alone: weights are random, of the sizes of MolmoE-1B and Molmo-7B-D
(`--size full`, bfloat16), or of a few thousand numbers (`--size tiny`, which a CPU does in seconds;
it shows that the script works, not how fast anything is). Every section is a list of rows; what
does not fit into the time that is left, or into memory, is said so. Writes `gpu.json` and `gpu.md`.

It has run on a CPU alone: no GPU was to be had. What stands in a section was not checked on one.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from evaluation import Straightforward

from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.engine import MolmoEngine
from tierexp.models.molmo.experts import Experts
from tierexp.models.molmo.flops import stage_flops
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.molmo.released import RELEASED
from tierexp.models.molmo.sizes import ConnectorConfig, DecoderConfig, VisionConfig
from tierexp.models.stages import Stage, StageClock

SECONDS = 480
NEW_TOKENS, QUESTION = 16, 32
CROPS = {"low": 3, "medium": 6, "high": 12}
Row = dict[str, object]


class Times:
    """A `StageClock`; the device is waited for at both ends of a stage."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, dict[Stage, float]()

    def now(self) -> float:
        """Seconds, once the device has done all that it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def stage(self, name: Stage) -> Stopwatch:
        """Time a stage."""
        return Stopwatch(self, name)


class Stopwatch:
    """One stage of `Times`."""

    def __init__(self, times: Times, name: Stage) -> None:
        self.times, self.name = times, name

    def __enter__(self) -> None:
        self.started = self.times.now()

    def __exit__(self, *_: object) -> None:
        spent = self.times.now() - self.started
        self.times.seconds[self.name] = self.times.seconds.get(self.name, 0.0) + spent


@dataclass
class Bench:
    """What every section is given.

    Args:
        device: Measured.
        dtype: Of weights.
        full: The released sizes.
        ends: When there is no time left, by `time.perf_counter`.
        peak: Multiplications and additions per second of a plain matrix product.
        bandwidth: Bytes per second of a plain copy, read and written.
    """

    device: torch.device
    dtype: torch.dtype
    full: bool
    ends: float
    peak: float = 0.0
    bandwidth: float = 0.0

    def best(self, run: Callable[[], object], repeats: int = 5) -> float:
        """Seconds of the fastest of some runs, after one that does not count."""
        times, found = Times(self.device), []
        run()
        for _ in range(repeats):
            start = times.now()
            run()
            found.append(times.now() - start)
        return min(found)

    def stages(self, model: MolmoEngine, inputs: ModelInputs, repeats: int = 3) -> dict[str, float]:
        """Seconds of each stage of a fixed number of new tokens, the fastest."""
        found: dict[str, float] = {}
        for number in range(repeats + 1):
            clock = Times(self.device)
            generate(model, inputs, clock)
            if number:
                found = {k: min(v, found.get(k, v)) for k, v in clock.seconds.items()}
        return found


def generate(model: MolmoEngine, inputs: ModelInputs, clock: StageClock) -> torch.Tensor:
    return model.generate(inputs, NEW_TOKENS, clock=clock, fixed_length=True)


def configs(full: bool) -> dict[str, MolmoConfig]:
    """The two decoders: a mixture of experts, and a dense one with grouped heads."""
    decoders = {"MolmoE-1B": RELEASED["MolmoE-1B-0924"], "Molmo-7B-D": RELEASED["Molmo-7B-D-0924"]}
    vision = VisionConfig()
    if not full:
        vision = replace(vision, width=64, num_layers=2, num_heads=2, mlp_width=128,
                         feature_layers=(-1, -2))  # fmt: skip
        decoders = {
            f"{name}, shrunk": replace(
                d, vocab_size=512, width=64, num_layers=2, num_heads=4, mlp_width=128,
                num_kv_heads=4 if d.num_experts else 2, num_experts=d.num_experts and 8,
            )
            for name, d in decoders.items()
        }  # fmt: skip
    return {
        name: MolmoConfig(vision, ConnectorConfig((2, 2), decoder.mlp_width), decoder)
        for name, decoder in decoders.items()
    }


def random_model(config: MolmoConfig, device: torch.device, dtype: torch.dtype) -> MolmoEngine:
    with torch.device("meta"):
        network = Molmo(config)
    network.to(dtype).to_empty(device=device)
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.02)
    return MolmoEngine(network.eval())


def random_inputs(config: MolmoConfig, crops: int, batch: int, bench: Bench) -> ModelInputs:
    """Prompts of so many crops and a question, an image each."""
    per_crop, size, views = config.geometry.tokens_per_crop, config.vision.crop_size, crops + 1
    ids = torch.randint(config.decoder.vocab_size, (batch, views * per_crop + QUESTION))
    return ModelInputs(
        input_ids=ids,
        attention_mask=torch.ones_like(ids, dtype=torch.bool),
        pixels=torch.randint(256, (batch, views, size, size, 3), dtype=torch.uint8),
        patch_mask=torch.ones(batch, views, config.vision.patches_per_side**2),
        image_input_idx=torch.arange(views * per_crop).view(1, views, -1).expand(batch, -1, -1),
        image_index=torch.arange(batch),
    ).to(bench.device)


def bounds(bench: Bench) -> Iterator[Row]:
    """What the device can do at most: a matrix product, and a copy."""
    side = 8192 if bench.full else 256
    a = torch.randn(side, side, device=bench.device, dtype=bench.dtype)
    bench.peak = 2 * side**3 / bench.best(lambda: a @ a)
    room = torch.empty(2**30 if bench.full else 2**22, dtype=torch.uint8, device=bench.device)
    other = torch.empty_like(room)
    bench.bandwidth = 2 * room.nbytes / bench.best(lambda: other.copy_(room))
    yield {"TFLOP/s": bench.peak / 1e12, "GB/s": bench.bandwidth / 1e9}


def decode_bytes(config: DecoderConfig, blocks: int, top_k: int | None, dtype: torch.dtype,
                 tokens: int) -> int:  # fmt: skip
    """What a step of one prompt has to read: weights that it visits, head, keys and values."""
    kv = config.num_kv_heads * config.head_dim
    block = config.width * (config.width + 2 * kv) + config.width**2
    block += 3 * config.width * config.mlp_width * (1 if top_k is None else top_k)
    head = config.width * config.vocab_size
    return (blocks * (block + 2 * tokens * kv) + head) * dtype.itemsize


def stages(name: str, model: MolmoEngine, bench: Bench) -> Iterator[Row]:
    """Latency at every tier, then of the knobs at the medium one; against what bounds them."""
    config, decoder = model.network.config, model.network.config.decoder
    layers, top_k = decoder.num_layers, decoder.top_k
    settings = [(tier, layers, top_k) for tier in CROPS]
    settings += [("medium", layers, k) for k in (1, 2, 4) if top_k is not None and k < top_k]
    settings += [("medium", max(1, layers * part // 4), top_k) for part in (2, 3)]
    for tier, blocks, experts in settings:
        inputs = random_inputs(config, CROPS[tier], 1, bench)
        tokens, views = inputs.input_ids.shape[1], CROPS[tier] + 1
        model.run_blocks(range(blocks))
        model.top_k = experts
        spent = bench.stages(model, inputs)
        flops = stage_flops(config, views, tokens, NEW_TOKENS, blocks, experts)
        step = spent["decode"] / (NEW_TOKENS - 1)
        read = decode_bytes(decoder, blocks, experts, bench.dtype, tokens)
        yield {
            "model": name, "tier": tier, "blocks": blocks, "top_k": experts,
            "vision ms": 1e3 * spent["vision"], "prefill ms": 1e3 * spent["prefill"],
            "decode ms a token": 1e3 * step,
            "prefill of the bound": flops.prefill / spent["prefill"] / bench.peak,
            "decode of the bound": read / step / bench.bandwidth,
        }  # fmt: skip
    model.run_blocks(range(layers))
    model.top_k = top_k


def backends(name: str, model: MolmoEngine, bench: Bench) -> Iterator[Row]:
    """`torch.compile` of the encoder and CUDA graphs of the steps, on and off."""
    inputs = random_inputs(model.network.config, CROPS["medium"], 1, bench)
    for compiled, graphs in ((False, False), (True, False), (False, True)):
        row: Row = {"model": name, "compile": compiled, "cuda_graphs": graphs}
        if graphs and bench.device.type != "cuda":
            yield row | {"note": "no CUDA graphs on this device"}
            continue
        model.encode_with("compile" if compiled else "eager")
        model.decode_in_graphs(graphs)
        started = time.perf_counter()
        generate(model, inputs, Times(bench.device))
        first, spent = time.perf_counter() - started, bench.stages(model, inputs)
        yield row | {f"{stage} ms": 1e3 * seconds for stage, seconds in spent.items()} | {
            "first answer s": first
        }  # fmt: skip
    model.encode_with("eager")
    model.decode_in_graphs(False)


def reference(name: str, model: MolmoEngine, bench: Bench) -> Iterator[Row]:
    """The straightforward implementation of `evaluation.py` beside this one, a prompt each."""
    if model.top_k is None:
        yield {"model": name, "note": "the straightforward one is of mixtures alone"}
        return
    inputs = random_inputs(model.network.config, CROPS["medium"], 1, bench)
    plain, times = Straightforward(model), Times(bench.device)
    for number in range(2):
        times = Times(bench.device)
        with torch.inference_mode():
            expected = plain.generate(inputs, NEW_TOKENS, clock=times, fixed_length=True)
        if bench.device.type == "cpu" and number == 0:
            break
    mine, answer = bench.stages(model, inputs), generate(model, inputs, Times(bench.device))
    same = int((answer.cpu() == expected).sum())
    yield {"model": name, "same tokens": f"{same} of {NEW_TOKENS}"} | {
        f"{stage} times as fast": times.seconds[stage] / mine[stage] for stage in mine
    }


def experts(name: str, model: MolmoEngine, bench: Bench) -> Iterator[Row]:
    """The grouped product against the loop over experts, for a step and for a prompt."""
    config = model.network.config.decoder
    if config.num_experts is None or config.top_k is None:
        yield {"model": name, "note": "dense"}
        return
    layer = next(m for m in model.network.modules() if isinstance(m, Experts))
    for tokens in (1, 8, 1024):
        x = torch.randn(tokens, config.width, device=bench.device, dtype=bench.dtype)
        scores = torch.rand(tokens, config.num_experts, device=bench.device)
        weights, chosen = scores.topk(config.top_k)
        weights = weights.to(bench.dtype)
        with torch.inference_mode():
            row: Row = {"model": name, "tokens": tokens}
            row["loop ms"] = 1e3 * bench.best(lambda: layer._in_turn(x, chosen, weights))
            if bench.device.type == "cuda" and layer.grouped_product_fits(bench.dtype):
                row["grouped ms"] = 1e3 * bench.best(lambda: layer._grouped(x, chosen, weights))
        yield row


def batches(name: str, model: MolmoEngine, bench: Bench) -> Iterator[Row]:
    """Questions per second as the batch grows, until memory or time is used up."""
    batch = 1
    while batch <= (256 if bench.full else 4):
        inputs = None
        try:
            if bench.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(bench.device)
            inputs = random_inputs(model.network.config, CROPS["medium"], batch, bench)
            spent = bench.stages(model, inputs, repeats=1)
        except torch.OutOfMemoryError:
            yield {"model": name, "batch": batch, "note": "does not fit into memory"}
            return
        row: Row = {"model": name, "batch": batch, "questions/s": batch / sum(spent.values())}
        row["decoded tokens/s"] = batch * (NEW_TOKENS - 1) / spent["decode"]
        if bench.device.type == "cuda":
            row["peak GB"] = torch.cuda.max_memory_allocated(bench.device) / 1e9
        yield row
        batch *= 2


def training(bench: Bench) -> Iterator[Row]:
    """Steps of the size of the recipe: the model in the box, forward, backward and AdamW."""
    (config,) = (c for name, c in configs(False).items() if name.startswith("MolmoE"))
    if bench.full:
        vision = replace(config.vision, width=128, num_layers=3, mlp_width=384)
        decoder = replace(config.decoder, width=160, num_layers=4, mlp_width=256, top_k=2)
        config = MolmoConfig(vision, ConnectorConfig((2, 2), 320), decoder)
    model = random_model(config, bench.device, torch.float32).network.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    inputs = random_inputs(config, CROPS["low"], 8 if bench.full else 2, bench)

    def step() -> None:
        with torch.autocast(bench.device.type, torch.bfloat16):
            logits = model(inputs)[:, -QUESTION:-1]
        labels = inputs.input_ids[:, 1 - QUESTION :]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    seconds = bench.best(step, 3)
    yield {"prompts a step": len(inputs.input_ids), "steps/s": 1 / seconds}


def collect(title: str, rows: Iterator[Row], bench: Bench, done: dict[str, list[Row]]) -> None:
    """A section's rows, as they are measured, while there is time."""
    found = done.setdefault(title, [])
    while time.perf_counter() < bench.ends:
        try:
            row = next(rows, None)
        except (RuntimeError, NotImplementedError) as error:
            row = {"note": f"failed: {str(error).splitlines()[0]}"}
        if row is None:
            return
        found.append(row)
        print(title, row, flush=True)
    found.append({"note": "no time was left for what comes here"})


def table(rows: list[Row]) -> str:
    """Rows as a Markdown table, with every column that one of them has."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[shown(row.get(column)) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
    return "" if value is None else str(value)


def main() -> None:
    """Measure, and write both files."""
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=("tiny", "full"), default="full" if cuda else "tiny")
    parser.add_argument("--out", type=Path, default=Path("outputs/gpu"))
    parser.add_argument("--seconds", type=float, default=SECONDS)
    arguments = parser.parse_args()
    device = torch.device("cuda", 0) if cuda else torch.device("cpu")
    dtype = torch.bfloat16 if cuda else torch.float32
    bench = Bench(device, dtype, arguments.size == "full", time.perf_counter() + arguments.seconds)
    done: dict[str, list[Row]] = {}
    collect("bounds", bounds(bench), bench, done)
    collect("training", training(bench), bench, done)
    for name, config in configs(bench.full).items():
        model = random_model(config, bench.device, bench.dtype)
        for section in (stages, experts, reference, backends, batches):
            collect(section.__name__, section(name, model, bench), bench, done)
        del model
        if cuda:
            torch.cuda.empty_cache()
    machine = torch.cuda.get_device_name(device) if cuda else f"{platform.machine()} CPU"
    told = {"device": machine, "torch": torch.__version__, "dtype": str(dtype),
            "size": arguments.size, "sections": done}  # fmt: skip
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "gpu.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    parts = [f"{machine}, torch {torch.__version__}, {dtype}, size {arguments.size}"]
    parts += [f"## {title}\n\n{table(rows)}" for title, rows in done.items()]
    (arguments.out / "gpu.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
