#!/usr/bin/env python3
"""Writes src/agent/prices.tsv: python3 scripts/prices.py PRICES.json > src/agent/prices.tsv

The input is litellm's list of models, reduced to {source, as_of, models: {name: {provider, input_cost_per_token, ...}}}.
A line of the output is a model as agents report it: lower case, without provider, region and date. Of the entries that
share a name, the provider's own wins, then the one without a date; what remains apart is the dearest: a budget is rather
spent too early than too late.
"""
import json
import re
import sys

OWN = ("anthropic", "openai", "gemini", "xai", "mistral", "deepseek", "dashscope", "moonshot", "zai", "minimax")
COLUMNS = (
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
)


def plain(name):
    """The same as `plain` in src/agent/prices.rs; a test compares them."""
    name = re.sub(r"\[\w+\]$", "", name.strip().lower().rsplit("/", 1)[-1])
    while True:
        match = re.match(r"^(us|eu|apac|au|jp|ca|sa|me|global|us-gov|anthropic|openai|meta|mistral|moonshotai|moonshot|qwen|deepseek|zai|xai|minimax|google)\.(.+)$", name)
        if not match:
            break
        name = match.group(2)
    name = re.sub(r"(-v\d+)?:\d+$", "", name)
    name = re.sub(r"@(default|\d{8})$", "", name)
    name = re.sub(r"-v1$", "", name)
    name = re.sub(r"-(\d{8}|\d{4}-\d{2}-\d{2})$", "", name)
    return re.sub(r"-latest$", "", name)


def amount(value):
    """Dollars per million tokens, without the noise of binary fractions."""
    return "-" if value is None else f"{value * 1e6:.6f}".rstrip("0").rstrip(".")


def main():
    data = json.load(open(sys.argv[1], encoding="utf-8"))
    best = {}
    for name, model in sorted(data["models"].items()):
        values = [model.get(column) for column in COLUMNS]
        # Music, images and the like are billed by other measures.
        if name.startswith("ft:") or not values[0] or not values[1] or plain(name) in ("chat", "claude"):
            continue
        known = sum(value is not None for value in values)
        rank = (model["provider"] in OWN, plain(name) == name.lower().rsplit("/", 1)[-1], known, "gov" not in name, values[0] + values[1])
        key = plain(name)
        if key not in best or rank > best[key][0]:
            best[key] = (rank, values)
    print(f"# Source: {data['source']}")
    print(f"# As of: {data['as_of']}")
    print("# Made by scripts/prices.py. US dollars per million tokens, without surcharges for long contexts.")
    print("# model\tinput\toutput\tcache_read\tcache_write")
    for name, (_, values) in sorted(best.items(), key=lambda item: item[0].encode()):
        print("\t".join([name, *map(amount, values)]))


main()
