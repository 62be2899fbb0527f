"""YAKt, Yet Another KRaft: a KRaft metadata quorum on Trio. Where to begin reading: yakt/README.md."""

__version__ = "0.1.0"
