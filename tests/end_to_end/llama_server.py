"""A real OpenAI-compatible server (llama.cpp's) with a tiny random model, for as long as its parent reads.

    python llama_server.py FOLDER [KEY]

Prints its address. The model knows the printable ASCII characters, one a token. Its weights are random but
for two coordinates of the residual stream, so that it babbles in lower-case letters and ends its strings: one
is constant, which makes the column that reads it a bias of each character; the other is set by a quote or a
space alone, and makes a quote after those unlikely.
"""

import string
import sys
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

WIDTH, HEADS, LAYERS, HIDDEN, CONTEXT = 32, 2, 2, 64, 1024
CONSTANT, AFTER_QUOTE = 0, 1
CHARACTERS = [*map(chr, range(32, 127)), "\n"]
BIAS = {**dict.fromkeys(string.ascii_lowercase, 0.0), " ": 0.5, '"': 1.0}
UNLIKELY = -12.0


def write_model(path: Path) -> None:
    random = np.random.default_rng(0)
    tokens = ["<unk>", "<s>", "</s>", *(character.replace(" ", "\u2581") for character in CHARACTERS)]
    special = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([*special, *[gguf.TokenType.NORMAL] * len(CHARACTERS)])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:")

    def weights(*shape: int, scale: float = 0.1) -> np.ndarray:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    embedding, output = weights(len(tokens), WIDTH), weights(len(tokens), WIDTH)
    embedding[:, CONSTANT], embedding[:, AFTER_QUOTE] = 3.0, 0.0
    output[:, CONSTANT], output[:, AFTER_QUOTE] = UNLIKELY, 0.0
    for character, bias in BIAS.items():
        output[tokens.index(character.replace(" ", "\u2581")), CONSTANT] = bias
    output /= WIDTH**0.5  # what the constant coordinate is after the last normalisation
    for character in ('"', "\u2581"):
        embedding[tokens.index(character), AFTER_QUOTE] = 3.0
    output[tokens.index('"'), AFTER_QUOTE] = UNLIKELY

    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    writer.add_tensor("output.weight", output)
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(WIDTH, np.float32))
        for name, shape in (
            ("attn_q", (WIDTH, WIDTH)),
            ("attn_k", (WIDTH, WIDTH)),
            ("attn_v", (WIDTH, WIDTH)),
            ("attn_output", (WIDTH, WIDTH)),
            ("ffn_gate", (HIDDEN, WIDTH)),
            ("ffn_up", (HIDDEN, WIDTH)),
            ("ffn_down", (WIDTH, HIDDEN)),
        ):
            matrix = weights(*shape)
            if name in ("attn_output", "ffn_down"):
                matrix[[CONSTANT, AFTER_QUOTE]] = 0.0
            writer.add_tensor(f"blk.{layer}.{name}.weight", matrix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(model: Path, key: str) -> None:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.model_alias = {"babble"}
    parameters.n_ctx = 2 * CONTEXT
    parameters.n_parallel = 2
    parameters.port = 0
    parameters.warmup = False
    parameters.cpuparams.n_threads = 1
    if key:
        parameters.api_keys = [key]
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    path = Path(sys.argv[1], "babble.gguf")
    write_model(path)
    serve(path, sys.argv[2] if len(sys.argv) > 2 else "")
