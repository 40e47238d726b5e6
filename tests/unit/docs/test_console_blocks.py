"""The commands of a page are read as a person would type them."""

from estimatesync_docs.console_blocks import Command, parse_blocks, parse_commands

PAGE = """\
# A page

<!-- run: checkout, until: is ready at -->
```console
$ cp a b     # and fill it in
$ make local
```

<!-- run: one-machine -->

```console
$ curl http://127.0.0.1/ \\
    -H "X: y"
{"a": 1}
$ kubectl apply -f - <<EOF
kind: A
EOF
applied
```

```
Some drawing
```

1. In a list:

   ```console
   $ ls
   ```
"""


def test_each_block_knows_its_language_its_place_and_its_line() -> None:
    blocks = parse_blocks(PAGE)

    assert [(block.language, block.place, block.until, block.line) for block in blocks] == [
        ("console", "checkout", "is ready at", 4),
        ("console", "one-machine", "", 11),
        ("", "", "", 21),
        ("console", "", "", 27),
    ]
    assert [block.title for block in blocks] == [
        "cp a b     # and fill it in",
        "curl http://127.0.0.1/ \\",
        "",
        "ls",
    ]


def test_a_command_goes_on_behind_a_backslash_and_up_to_the_end_of_a_here_document() -> None:
    commands = parse_blocks(PAGE)[1].commands

    assert commands == (
        Command(text='curl http://127.0.0.1/ \\\n    -H "X: y"', shown=('{"a": 1}',)),
        Command(text="kubectl apply -f - <<EOF\nkind: A\nEOF", shown=("applied",)),
    )


def test_what_stands_before_the_first_prompt_is_not_a_command() -> None:
    assert list(parse_commands(["output of nothing"])) == []
