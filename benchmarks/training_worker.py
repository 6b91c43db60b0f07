"""One engine trains one workload for a few steps, in a process of its own, and says what it cost as a line of JSON.

    python -m benchmarks.training_worker '{"engine": "fettle", "workload": "W2", "steps": 10, "options": {}}'

Both engines get the same rows, steps, fresh weights (drawn from one seed in float32), optimizer and learning rate.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.workloads import ENCODER, WORKLOADS, Row, Workload

LEARNING_RATE, BETA2 = 1e-4, 0.99
LORA = {"rank": 16, "alpha": 32.0}


def main(job: dict[str, Any]) -> None:
    """Run, and print one line."""
    began = time.perf_counter()
    workload = WORKLOADS[job["workload"]]
    steps = workload.steps(job["steps"])
    peer = run_trainer if workload.is_encoder else run_trl
    run = {"fettle": run_fettle, "peer": peer}[job["engine"]]
    ends, losses, at_import, extra = run(workload, steps, job["options"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        json.dumps(
            {
                **job,
                "step_seconds": [end - before for before, end in pairwise(ends)],
                "cold_start_seconds": ends[1] - began,
                "losses": losses,
                "learned_tokens": [
                    len(rows) if workload.is_encoder else sum(sum(learned) for _, learned in rows) for rows in steps
                ],
                "logical_tokens": [sum(len(ids) for ids, _ in rows) for rows in steps],
                "peak_bytes_above_import": peak - at_import,
                **extra,
            }
        )
    )


def resident_bytes() -> int:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def fresh_network(workload: Workload) -> Any:
    """The model with weights drawn from one seed."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, BertConfig, LlamaConfig

    torch.manual_seed(0)
    if workload.is_encoder:
        return AutoModelForSequenceClassification.from_config(BertConfig(**ENCODER))
    return AutoModelForCausalLM.from_config(LlamaConfig(**workload.shape))


def with_adapter(network: Any) -> Any:
    """The network with fresh adapters, drawn from one seed."""
    from types import SimpleNamespace

    from fettle.models.config import AdapterSettings
    from fettle.models.load import OpenModel, add_adapter

    return add_adapter(OpenModel(network, SimpleNamespace(pad_id=0)), AdapterSettings(kind="lora", **LORA), 0)


def run_fettle(workload: Workload, steps: list[list[Row]], options: dict[str, Any]) -> tuple[Any, ...]:
    """fettle's own loop, with what its plan decides unless `options` say otherwise."""
    import torch

    import fettle.training.loop
    from fettle.models.machine import keep_freed_pages
    from fettle.tokens.forest import processed_tokens

    at_import = resident_bytes()
    keep_freed_pages()

    class Clock:
        def __init__(self) -> None:
            self.ends = [time.perf_counter()]
            self.losses: list[float] = []

        def on_step(self, report: Any) -> None:
            self.ends.append(time.perf_counter())
            self.losses.append(report.loss)

        def on_held_out(self, report: Any) -> None: ...

        def on_checkpoint(self, step: int, is_best: bool) -> None: ...

        def on_less_memory(self, step: int, max_tokens_per_call: int) -> None: ...

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        job = fettle_job(workload, steps, options, Path(folder))
        job.watchers = [clock]
        clock.ends[0] = time.perf_counter()
        fettle.training.loop.train(job)
    processed = [processed_tokens(job.stream.rows(step), job.layout) for step in range(len(steps))]
    facts = {
        "processed_tokens": processed,
        "dtype": str(job.dtype),
        "layout": job.layout,
        "is_compiled": job.is_compiled,
        "threads": torch.get_num_threads(),
    }
    return clock.ends, clock.losses, at_import, facts


def fettle_job(workload: Workload, steps: list[list[Row]], options: dict[str, Any], folder: Path) -> Any:
    """A job of the training loop over these steps."""
    from types import SimpleNamespace

    import numpy as np

    from fettle.models.load import OpenModel
    from fettle.models.machine import choose_dtype, dtype_named
    from fettle.tokens.example import Example, TokenReads
    from fettle.tokens.layout import layout_for
    from fettle.training.checkpoint import CheckpointStore
    from fettle.training.config import TrainingSettings
    from fettle.training.loop import TrainingJob
    from fettle.training.objective import NextToken

    def example(row: Row) -> Example:
        ids, learned = row
        if workload.is_encoder:
            return Example(np.asarray(ids), TokenReads.of([0], learned, [1.0]))
        at = [place - 1 for place in range(1, len(ids)) if learned[place]]
        return Example(np.asarray(ids), TokenReads.of(at, [ids[place + 1] for place in at], [1.0] * len(at)))

    class Rows:
        def rows(self, step: int) -> list[Example]:
            return [example(row) for row in steps[step]]

    network = fresh_network(workload)
    model = OpenModel(network, SimpleNamespace(pad_id=0)) if workload.is_full else with_adapter(network)
    layout, _ = layout_for(model.attention, options.get("layout", "auto"))
    dtype = choose_dtype(options.get("dtype", "auto"), model.network.config.hidden_size)
    if dtype == "float64":
        model.network.double()
        dtype = "float32"  # what the loop need not round; it computes in what the weights are
    return TrainingJob(
        model=model,
        stream=Rows(),
        objective=NextToken(layout),
        probe=None,
        settings=TrainingSettings(
            learning_rate=options.get("learning_rate", LEARNING_RATE),
            beta2=BETA2,
            weight_decay=0.0,
            schedule="constant",
            warmup_share=0.0,
            max_tokens_per_call=options.get("max_tokens_per_call", 4096),
        ),
        num_steps=len(steps),
        look_every_steps=len(steps) + 1,
        layout=layout,
        seed=0,
        store=CheckpointStore(folder),
        dtype=dtype_named(dtype),
        is_compiled=bool(options.get("compile", False)),
    )


def prepare_peer(steps: list[list[Row]], options: dict[str, Any]) -> list[list[Row]]:
    """What `options` give a peer beside its own settings: pages that are kept, rows in order of their length."""
    if options.get("allocator"):
        from fettle.models.machine import keep_freed_pages

        keep_freed_pages()
    return [sorted(rows, key=lambda row: len(row[0])) for rows in steps] if options.get("sorted") else steps


def peer_rows(steps: list[list[Row]]) -> Any:
    """The rows of all steps in order, as TRL takes them: what is not learned is labelled -100."""
    from datasets import Dataset

    rows = [row for step in steps for row in step]
    return Dataset.from_dict(
        {
            "input_ids": [ids for ids, _ in rows],
            "labels": [[i if on else -100 for i, on in zip(ids, learned, strict=True)] for ids, learned in rows],
        }
    )


def peer_tokenizer() -> Any:
    """TRL asks for a tokenizer, also where it is given ids."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"<pad>": 0, "<eos>": 1, "<unk>": 2}, unk_token="<unk>")),
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
    )


def run_trl(workload: Workload, steps: list[list[Row]], options: dict[str, Any]) -> tuple[Any, ...]:
    """TRL's SFTTrainer, on the same ids and labels. `options`: see `benchmarks.training.GRID`.

    `exact`: with the adapters that fettle begins with, and losses as they are computed, not as they are logged. In
    float64 the loss is torch's: the gradient of TRL's own is made in float32.
    """
    import torch
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    at_import = resident_bytes()
    steps = prepare_peer(steps, options)
    network = fresh_network(workload)
    peft = (
        None if workload.is_full else LoraConfig(r=LORA["rank"], lora_alpha=LORA["alpha"], target_modules="all-linear")
    )
    if peft and options.get("exact"):
        network, peft = with_adapter(network).adapted, None
    if options.get("dtype") in ("bfloat16", "float64"):
        network.to(getattr(torch, options["dtype"]))
    chosen = {
        name: options[name] for name in ("loss_type", "gradient_checkpointing", "torch_compile") if name in options
    }

    computed: list[float] = []

    def torch_loss(outputs: Any, labels: Any, num_items_in_batch: Any) -> Any:
        logits, expected = outputs.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
        return torch.nn.functional.cross_entropy(logits, expected, reduction="sum") / num_items_in_batch

    class Recorder(SFTTrainer):
        def compute_loss(self, *words: Any, **named: Any) -> Any:
            loss = super().compute_loss(*words, **named)
            computed.append(float(loss.detach()))
            return loss

    clock = peer_clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = (Recorder if options.get("exact") else SFTTrainer)(
            model=network,
            args=SFTConfig(
                **trainer_settings(workload, len(steps), options, folder),
                max_length=None,
                dataset_kwargs={"skip_prepare_dataset": True},
                **chosen,
            ),
            train_dataset=peer_rows(steps),
            processing_class=peer_tokenizer(),
            callbacks=[clock],
            peft_config=peft,
            compute_loss_func=torch_loss if options.get("exact") and options["dtype"] == "float64" else None,
        )
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if computed:
        calls = len(computed) // len(steps)
        losses = [sum(computed[first : first + calls]) for first in range(0, len(computed), calls)]
    return clock.ends, losses, at_import, {"threads": torch.get_num_threads()}


def run_trainer(workload: Workload, steps: list[list[Row]], options: dict[str, Any]) -> tuple[Any, ...]:
    """The Trainer of transformers, on the same ids and labels, rows padded to the longest of a call."""
    import torch
    from transformers import Trainer, TrainingArguments

    at_import = resident_bytes()
    steps = prepare_peer(steps, options)
    rows = [{"input_ids": ids, "labels": label[0]} for step in steps for ids, label in step]

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        wide = max(len(row["input_ids"]) for row in rows)
        return {
            "input_ids": torch.tensor([row["input_ids"] + [0] * (wide - len(row["input_ids"])) for row in rows]),
            "attention_mask": torch.tensor([[int(n < len(row["input_ids"])) for n in range(wide)] for row in rows]),
            "labels": torch.tensor([row["labels"] for row in rows]),
        }

    network = fresh_network(workload)
    if options.get("dtype") == "bfloat16":
        network.to(torch.bfloat16)
    chosen = {name: options[name] for name in ("gradient_checkpointing", "torch_compile") if name in options}
    clock = peer_clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=network,
            args=TrainingArguments(**trainer_settings(workload, len(steps), options, folder), **chosen),
            train_dataset=rows,
            data_collator=collate,
            callbacks=[clock],
        )
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return clock.ends, losses, at_import, {"threads": torch.get_num_threads()}


def trainer_settings(workload: Workload, num_steps: int, options: dict[str, Any], folder: str) -> dict[str, Any]:
    """What both trainers are told: the same steps, optimizer and rows in order."""
    rows_per_call = options.get("rows_per_call", workload.rows_per_step)
    return {
        "output_dir": folder,
        "use_cpu": True,
        "bf16": options.get("dtype") in ("autocast", "bfloat16"),
        "per_device_train_batch_size": rows_per_call,
        "gradient_accumulation_steps": workload.rows_per_step // rows_per_call,
        "max_steps": num_steps,
        "learning_rate": options.get("learning_rate", LEARNING_RATE),
        "adam_beta2": BETA2,
        "lr_scheduler_type": "constant",
        "train_sampling_strategy": "sequential",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def peer_clock() -> Any:
    """A callback that notes when steps end; the first time is when the first step begins."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.ends: list[float] = []

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            if not self.ends:
                self.ends.append(time.perf_counter())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.ends.append(time.perf_counter())

    return Clock()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
