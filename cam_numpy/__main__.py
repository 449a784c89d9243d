"""The command: `cam-numpy`, or `python -m cam_numpy`."""

from __future__ import annotations

import argparse
import os
import sys
import warnings

from .commands import evaluate, explain, inspect, layers, models, page, units
from .errors import Assumed, InputError, complain


def main(arguments=None):
    """Run the command.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.

    Returns
    -------
    status : int
        0, or 2 where something given could not be used, or 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):  # a terminal may not know every letter
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    options = _parser().parse_args(arguments)
    warnings.simplefilter("ignore", Assumed)  # the commands print what was assumed themselves
    try:
        return options.command(options)
    except InputError as error:
        return complain(error)
    except KeyboardInterrupt:
        print("cam-numpy: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `cam-numpy ... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="cam-numpy",
        description="Class activation mapping (CVPR 2016), equation by equation.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (explain, page, layers, units, inspect, evaluate, models):
        module.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
