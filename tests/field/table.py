#!/usr/bin/env python3
"""Runs both programs on inputs from the field and prints what they say as a Markdown table.

    tests/field/table.py CASES BIN > tests/FIELD.md

CASES is a folder of inputs, described in its README; BIN holds `unet-host` and `unet-edge`. Each row of `rows.txt` is a command with
the exit code and a pattern that the right line of output matches. Exits with 1 if a row is not right. Needs Python alone.
"""

import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

SECONDS = 300
# What differs between runs or machines, and what the table shows instead.
VARYING = [
    (re.compile(r"\b(p\d+) [\d.]+"), r"\1 TIME"),
    (re.compile(r"\b[\d.]+ (ms|s|images/s)(?!\w)"), r"TIME \1"),
    (re.compile(r"\bwaited [\d.]+ %"), "waited TIME %"),
    (re.compile(r"\bkernel [\w-]+"), "kernel KERNEL"),
]
MODELS = pathlib.Path(__file__).resolve().parents[2] / "models"


def rows(path):
    """Yields (input, command, exit code, pattern) of each row; `#` begins a comment."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            parts = [part.strip() for part in line.split(" | ")]
            if len(parts) != 4:
                sys.exit(f"{path}:{number}: expected 4 columns, found {len(parts)}")
            yield parts[0], parts[1], int(parts[2]), re.compile(parts[3])


def run(command, cases, binaries, folder):
    """Exit code and output of a command. $CASES and $OUT are replaced, and && runs one after the other."""
    output = []
    for part in command.split(" && "):
        words = shlex.split(part.replace("$CASES", str(cases)).replace("$MODELS", str(MODELS)).replace("$OUT", folder))
        if words[0] in ("unet-host", "unet-edge"):
            words[0] = str(binaries / words[0])
        try:
            done = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return None, "\n".join(output)
        output.append(done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace"))
        if done.returncode != 0:
            break
    return done.returncode, "\n".join(output)


def said(output, pattern, cases, folder):
    """The line that matches, without the folders of this run and with placeholders for what varies; otherwise the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    match = next((line for line in lines if pattern.search(line)), None)
    line = match or (lines[-1] if lines else "")
    line = line.replace(f"{cases}/", "").replace(f"{MODELS}/", "").replace(f"{folder}/", "")
    for varying, placeholder in VARYING:
        line = varying.sub(placeholder, line)
    return match is not None, line if len(line) <= 300 else line[:297] + "..."


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    cases, binaries = (pathlib.Path(word).resolve() for word in sys.argv[1:])
    wrong = 0
    print("# What the programs say about inputs from the field\n")
    print("Printed by `tests/field/table.py`; the inputs and what is right are described in their folder's README.\n")
    print("| input | command | exit | line | right |\n|---|---|---|---|---|")
    for name, command, expected, pattern in rows(pathlib.Path(__file__).parent / "rows.txt"):
        with tempfile.TemporaryDirectory() as folder:
            code, output = run(command, cases, binaries, folder)
            matched, line = said(output, pattern, cases, folder)
        right = code == expected and matched
        wrong += not right
        escape = lambda text: text.replace("|", "\\|")
        verdict = "right" if right else f"WRONG: expected exit {expected} and /{pattern.pattern}/"
        print(f"| {name} | `{escape(command)}` | {code} | {escape(line)} | {escape(verdict)} |", flush=True)
    sys.exit(1 if wrong else 0)


main()
