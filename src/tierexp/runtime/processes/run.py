"""Which processes a run has: one alone, those that SLURM, torchrun or whatever else Lightning's
environments know of has started, or those that are started here.

In: a trainer, which knows its devices. Out: `Processes`, and one end for all of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count

from lightning import Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch.distributed import DistError, PrefixStore, Store, rendezvous

from tierexp.config.refusal import MACHINE_ERROR, USER_ERROR
from tierexp.errors import MachineError, TierexpError
from tierexp.runtime.processes.group import ProcessEndedError, Processes
from tierexp.runtime.processes.local import Program, local_processes


@contextmanager
def processes_of(trainer: Trainer, program: Program) -> Iterator[Processes]:
    """The processes of a run, from before anything is decided until all of them are done.

    Args:
        trainer: As configured; where it has several devices and nobody else starts the processes
            for them, they are started here, once `broadcast` is called.
        program: Program of those.

    Raises:
        TierexpError: The processes that somebody else was to start are not there.
        SystemExit: In the first process, with code 1 after another one has ended; in the others,
            silently, after any end that the first one tells the user.
    """
    strategy = trainer.strategy
    if not isinstance(strategy, DDPStrategy):
        yield Processes()
        return
    environment = strategy.cluster_environment
    assert environment is not None
    if environment.creates_processes_externally:
        os.environ["MASTER_ADDR"] = environment.main_address
        os.environ["MASTER_PORT"] = str(environment.main_port)
        processes = Processes(_store_of_run(trainer), trainer.global_rank, trainer.world_size)
        with _ending_together(processes):
            yield processes
    else:
        with local_processes(trainer.world_size, program) as processes, _ending_together(processes):
            yield processes


@contextmanager
def _ending_together(processes: Processes) -> Iterator[None]:
    """Make one process's end known to the others, and theirs to the user, once."""
    try:
        try:
            yield
            processes.barrier("end")
        except BaseException as error:
            # What looks like Ctrl-C or a broken connection may have a cause elsewhere.
            if isinstance(error, RuntimeError):
                time.sleep(_NEWS)
            processes.check()
            processes.abort(error)
            raise
    except ProcessEndedError as error:
        kept = "what was measured is kept, resume=true goes on"
        raise SystemExit(f"error: {error}; {kept}" if processes.first else 1) from None
    except (TierexpError, MachineError) as error:
        if processes.first:
            raise
        user = isinstance(error, TierexpError)
        raise SystemExit(USER_ERROR if user else MACHINE_ERROR) from None


APPOINTMENT = timedelta(minutes=10)
"""How long processes that somebody else starts may differ in the time of their start."""
_NEWS = 0.5
"""Seconds until it is known why a connection broke."""
_runs = count()
_stores: list[Store] = []
"""The store of the processes that somebody else has started: one, whatever runs they share."""


def _store_of_run(trainer: Trainer) -> Store:
    rank, size = trainer.global_rank, trainer.world_size
    if not _stores:
        try:
            store, _, _ = next(rendezvous("env://", rank, size, timeout=APPOINTMENT))
        except DistError as error:
            where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
            raise TierexpError(
                f"the {size} processes of the run have not met at {where} within {APPOINTMENT} "
                "h: has srun or torchrun started all of them?"
            ) from error
        _stores.append(store)
    return PrefixStore(f"tierexp/{next(_runs)}", _stores[0])
