"""Options: the help lists exactly what is taken, and an option is obeyed or refused."""

import re

import pytest
import typer

import minidlrm as md
from minidlrm.cli import options
from minidlrm.cli.app import make_app
from minidlrm.data import READERS
from minidlrm.data.download import SOURCES
from minidlrm.grading.assignment import names
from minidlrm.models import MODELS
from minidlrm.optim import OPTIMIZERS
from minidlrm.recipes import RECIPES


def commands():
    """Return every command by its name, such as "train" and "grade run"."""
    found = {}

    def visit(command, name):
        for sub, each in getattr(command, "commands", {}).items():
            visit(each, f"{name} {sub}".strip())
        if not hasattr(command, "commands"):
            found[name] = command

    visit(typer.main.get_command(make_app()), "")
    return found


def help_of(command, parameter):
    return next(p.help for p in commands()[command].params if p.name == parameter)


LISTS = [
    ("train", "model", MODELS),
    ("show", "model", MODELS),
    ("gradcheck", "target", MODELS),
    ("train", "optimizer", OPTIMIZERS),
    ("recipe", "name", RECIPES),
    ("data fetch", "name", SOURCES),
    ("grade check", "assignment", names()),
]


@pytest.mark.parametrize(("command", "parameter", "known"), LISTS, ids=lambda x: str(x)[:20])
def test_the_help_lists_exactly_what_is_taken(command, parameter, known):
    text = help_of(command, parameter)
    listed = (
        text.removeprefix("One of ")
        .removeprefix("A model (")
        .partition("); or PATH")[0]
        .partition("; or a FOLDER")[0]
    )
    names = re.sub(r" \(.*?\)|\.$", "", listed).split(", ")
    assert names == list(known)


@pytest.mark.parametrize("command", ["train", "show", "compare"])
def test_the_help_of_data_lists_every_reader(command):
    text = help_of(command, "data").partition(". With")[0]
    listed = re.findall(r"([a-z-]+)(?::[A-Z]+)? \(", text)
    assert listed == list(READERS)


def test_every_command_and_parameter_has_help():
    for name, command in commands().items():
        assert command.help, name
        for parameter in command.params:
            assert parameter.help, (name, parameter.name)


GIVEN = {
    "embedding_dim": (3, 3),
    "bottom_mlp": ("5", (5,)),
    "top_mlp": ("7", (7,)),
    "interaction": ("cat", "cat"),
    "self_interaction": (True, True),
}


@pytest.mark.parametrize("option", GIVEN)
@pytest.mark.parametrize("name", MODELS)
def test_an_option_of_a_model_is_obeyed_or_refused(name, option):
    entry, (given, expected) = MODELS[name], GIVEN[option]
    argument = "mlp" if option == "top_mlp" and "mlp" in entry.arguments else option
    if argument not in entry.arguments:
        flag = f"--{option.replace('_', '-')}"
        with pytest.raises(ValueError, match=rf"{flag} has no meaning with model {name}: it is"):
            options.model_options(name, **{option: given})
        return
    found = options.model_options(name, **{option: given})
    num_dense, sizes = (0, [9, 4]) if entry.pairs_only else (2, [9, 4])
    rows = md.Batch([[0.0] * num_dense] * 2, [[0, 0]] * 2)
    dataset = md.Dataset(rows, rows, rows, sizes, [], "")
    config = options.build(name, dataset, 0, found).config
    value = config[argument]
    assert (tuple(value) if isinstance(value, list) else value) == expected


@pytest.mark.parametrize("option", ["rows", "min_count", "on_bad_line", "drop_users", "seed"])
@pytest.mark.parametrize("scheme", READERS)
def test_an_option_of_a_reader_is_obeyed_or_refused(scheme, option, monkeypatch):
    seen = {}
    arguments = {name: reader.arguments for name, reader in READERS.items()}
    reads = property(lambda _: lambda *path, **given: seen.update(given))
    monkeypatch.setattr(options.Reader, "function", reads)
    monkeypatch.setattr(options.Reader, "arguments", property(lambda self: arguments[_name(self)]))
    data = f"{scheme}:x" if READERS[scheme].path else scheme
    if option in arguments[scheme]:
        options.read(data, **{option: 3})
        assert seen == {option: 3}
    else:
        flag = f"--{option.replace('_', '-')}"
        with pytest.raises(ValueError, match=rf"{flag} has no meaning with --data {scheme}: it is"):
            options.read(data, **{option: 3})


def _name(reader):
    return next(name for name, known in READERS.items() if known is reader)


def test_what_several_share_is_given_only_where_it_is_taken():
    with pytest.raises(FileNotFoundError):
        options.read("criteo:/nowhere", shared={"seed": 3})
