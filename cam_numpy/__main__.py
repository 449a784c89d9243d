"""The command: `cam-numpy`, or `python -m cam_numpy`."""

from __future__ import annotations

import sys

from . import __version__

# nothing else here: until `run` has taken over the signals, Ctrl-C ends in a traceback


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
    import warnings

    from .commands import process

    try:
        with warnings.catch_warnings():
            # those of libraries are no use here, and what was assumed the commands print themselves
            warnings.simplefilter("ignore")
            options = _parser().parse_args(arguments)
            return options.command(options)
    except process.REFUSED as error:
        return process.complain(error)
    except KeyboardInterrupt:
        return process.interrupted()


def run():
    """Run the command as a process of its own: what `cam-numpy` does."""
    from .commands.signals import Signals

    signals = Signals()
    from .commands import process

    process.run(main, signals)


def _parser():
    import argparse

    from .commands import evaluate, explain, inspect, layers, learn, models, page, process, units
    from .errors import InputError

    class Parser(argparse.ArgumentParser):
        """Prints as all commands print, and of a mistake one line instead of the whole usage."""

        def parse_args(self, args=None, namespace=None):
            for argument in sys.argv[1:] if args is None else args:
                if argument.startswith("--") and argument.endswith("=--"):
                    self.error(f"{argument} has no value")  # an old argparse makes it an empty list
            return super().parse_args(args, namespace)

        def print_help(self, file=None):
            self.color = False  # from 3.14 on the help would hold escape sequences
            process.say(self.format_help().rstrip("\n"))

        def error(self, message):
            raise SystemExit(process.complain(InputError(f"{message}; see {self.prog} --help")))

    parser = Parser(
        prog="cam-numpy",
        description="Class activation mapping (CVPR 2016), equation by equation.",
    )
    parser.add_argument("--version", action="version", version=f"cam-numpy {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (explain, page, layers, units, learn, inspect, evaluate, models):
        module.add_parser(commands)
    return parser


if __name__ == "__main__":
    run()
