#!/usr/bin/env python3
"""Makes test/text/expected/: small tokenizers by Hugging Face's library (pip install tokenizers), and what it makes of texts.

Each file holds a tokenizer.json and cases: a text, its ids (special tokens as tokens, without and with the template), and
the text that comes back. The files are committed; this script is run again only to add to them, with their names."""
import json
import os
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = [
    "", " ", "Hello world", "  two  blanks ", "Hello, world! It's 2024; we'll see 12345 things.\n\nNew\tline\r\n",
    "caf\u00e9 cafe\u0301 \u00c5ngstr\u00f6m \ufb01ne \u2460 \u1e9e STRASSE \u0130stanbul", "\u4e2d\u6587\u5b57 \ud55c\uae00 \u3042\u3044",
    "\U0001F642\U0001F44D\U0001F3FD ok", "a\u00a0b\u3000c\u2028d\u180ee\u200bf", "x<mask>y <mask> z<sep> w", "<s>the</s> he the-other others theother",
    "don't DON'T \u017f's", "1,234.56 \u0661\u0662\u00b2\u00bd", "_under_score__ a_b", "the\u2581end \u2581 x", "aaaaaaaaaaaaaaaa bbbb abab",
    "  lead", "trail  ", "\n\n\n", "tab\t\ttab", "THE The tHe",
]
CORPUS = ["the quick brown fox jumps over the lazy dog, and the other dogs don't see it; they'll see 12 34 others.",
          "Hello world! It's a new line of the text. We have caf\u00e9 and 2024 things, aaaa bbbb abab abab.",
          "\u4e2d\u6587\u5b57 and \ud55c\uae00, they are the others there; the theory of then and than."] * 3
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def train(t, size, **more):
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=size, show_progress=False, min_frequency=2, **more))
    return t


def edit(t, **keys):
    """The model's keys that trainers cannot set."""
    d = json.loads(t.to_str())
    d["model"].update(keys)
    return Tokenizer.from_str(json.dumps(d))


def byte_level(size=330, prefix=False, pre=None, regex=True):
    t = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)
    t.pre_tokenizer = pre_tokenizers.Sequence([pre, level]) if pre else level
    t.decoder = decoders.ByteLevel()
    return train(t, size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def fallback(t, size):
    t = train(t, size, special_tokens=["<unk>", "<s>", "</s>"] + ["<0x%02X>" % i for i in range(256)])
    d = json.loads(t.to_str())
    d["added_tokens"] = d["added_tokens"][:3]
    d["model"].update(byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    return Tokenizer.from_str(json.dumps(d))


MORE = ["x" * 100, "x" * 101, "un" + "\u00e9" * 50, "a\u0000b\ufffdc\u0378d\u200be\u00adf\ue000g\u0085h\u000bi\u001fj",
        "\u4e2d\u6587ab\u3400\U00020000\U0002a700\U0002b740\U0002b820\U0002b920\uf900\U0002f800\u3042\u30ab",
        "it's the.quick,brown!fox?I'm don't we'll they've 's", "[CLS] the [MASK] fox [SEP] [UNK] [PAD][MASK]",
        "\u00c9t\u00e9 \u0130 \u1e9e \u0645\u064f\u062d\u064e \u0915\u093e\u0928\u093c \u0e01\u0e33", "$1+2=3^4`5|6~7 <a> \u00a1b\u00bf \u2014 \u20ac",
        "quickly thereafter theory dogs' jumps-over_the"]


def bert(lower=True, accents=None, cleanup=True, prefix="##", chars=100, size=140):
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=lower, strip_accents=accents)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(CORPUS + [MORE[5], MORE[8]], trainers.WordPieceTrainer(
        vocab_size=size, show_progress=False, special_tokens=specials, continuing_subword_prefix=prefix))
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", t.token_to_id("[CLS]")), ("[SEP]", t.token_to_id("[SEP]"))])
    t.decoder = decoders.WordPiece(prefix=prefix, cleanup=cleanup)
    return edit(t, max_input_chars_per_word=chars)


def cases():
    yield "bert", bert()
    yield "bert_cased", bert(lower=False, cleanup=False)
    yield "bert_accents", bert(accents=False, prefix="@", chars=6, size=160)
    yield "bert_stripped", bert(lower=False, accents=True)
    yield "gpt2", byte_level()
    yield "gpt2_prefix", byte_level(prefix=True)
    t = byte_level(pre=pre_tokenizers.Split(Regex(LLAMA3), "isolated"), regex=False)
    t.add_special_tokens(["<s>", "</s>"])
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", t.token_to_id("<s>"))])])
    yield "llama3", edit(t, ignore_merges=True)
    yield "digits", byte_level(pre=pre_tokenizers.Digits(individual_digits=True))
    t = byte_level()
    t.add_special_tokens(["<s>", "</s>", AddedToken("<mask>", lstrip=True), AddedToken("<sep>", rstrip=True)])
    t.add_tokens([AddedToken("the", single_word=True), AddedToken("others")])
    t.post_processor = processors.RobertaProcessing(("</s>", t.token_to_id("</s>")), ("<s>", t.token_to_id("<s>")))
    yield "roberta", t
    for scheme in "always", "first", "never":
        t = Tokenizer(models.BPE())
        t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=scheme != "first")
        t.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme=scheme)]) \
            if scheme != "first" else decoders.Metaspace(prepend_scheme=scheme)
        t = fallback(t, 380) if scheme != "first" else edit(train(t, 130, special_tokens=["<unk>", "<s>"]), unk_token="<unk>", fuse_unk=True)
        yield "metaspace_" + scheme, t
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t = fallback(t, 400)
    t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    yield "llama2", t
    for name, steps in {
        "nfc": [normalizers.NFC()], "nfd": [normalizers.NFD(), normalizers.StripAccents()],
        "nfkc": [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip()],
        "nfkd": [normalizers.NFKD(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Replace("e", "E")],
    }.items():
        t = Tokenizer(models.BPE(unk_token="<unk>"))
        t.normalizer = normalizers.Sequence(steps)
        t.pre_tokenizer = pre_tokenizers.Whitespace()
        t = train(t, 120, special_tokens=["<unk>"])
        t.add_tokens([AddedToken("The", normalized=True), AddedToken("<mask>", normalized=False)])
        yield name, t
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    t.decoder = decoders.BPEDecoder("</w>")
    yield "word_ends", train(t, 140, special_tokens=["<unk>"], end_of_word_suffix="</w>")
    t = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits()])
    yield "prefixes", train(t, 140, special_tokens=["<unk>"], continuing_subword_prefix="##")
    for behavior in "removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous":
        t = Tokenizer(models.BPE(unk_token="<unk>"))
        t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"[ \-]"), behavior, invert=behavior == "contiguous"),
                                                   pre_tokenizers.Split("b", behavior)])
        yield "split_" + behavior, train(t, 90, special_tokens=["<unk>"])


def main():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "expected")
    for name, t in cases():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        found = []
        for text in TEXTS + (MORE if name.startswith("bert") else []):
            plain = t.encode(text, add_special_tokens=False).ids
            found.append({"text": text, "ids": plain, "frame": t.encode(text).ids,
                          "back": t.decode(plain, skip_special_tokens=True), "back_special": t.decode(plain, skip_special_tokens=False)})
        with open(os.path.join(folder, name + ".json"), "w") as f:
            f.write('{"tokenizer":\n%s,\n"cases": [\n' % json.dumps(json.loads(t.to_str()), ensure_ascii=False))
            f.write(",\n".join(json.dumps(c) for c in found))
            f.write("\n]}\n")
        print(name, t.get_vocab_size(), file=sys.stderr)


if __name__ == "__main__":
    main()
