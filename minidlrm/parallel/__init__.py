"""Across machines: ranks that share a model's tables and the blocks of each batch."""

from minidlrm.parallel.comm import Communicator, RankFailedError, Sent, mpi, run
from minidlrm.parallel.sharding import ShardedEmbeddings, sharded

__all__ = ["Communicator", "RankFailedError", "Sent", "ShardedEmbeddings", "mpi", "run", "sharded"]
