// The official JavaScript client. `node ollama.mjs <url> <model that knows tools> <model that thinks> <slow model>`

import { Ollama } from "ollama";

const [host, caller, thinker, slow] = process.argv.slice(2);
const client = new Ollama({ host });
const messages = [{ role: "user", content: "hello" }];
const model = "echo";

const all = async (stream) => {
  const parts = [];
  for await (const part of await stream) parts.push(part);
  return parts;
};

const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city",
    parameters: { type: "object", required: ["city"], properties: { city: { type: "string" } } },
  },
};
const call = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>';

const aborted = async () => {
  const options = { draft_num_predict: 0 };
  const stream = await client.generate({ model: slow, prompt: "x".repeat(2000), options, stream: true });
  try {
    for await (const part of stream) if (part) stream.abort();
  } catch (error) {
    return error.name;
  }
  return "ran to its end";
};

const failed = (answer) => answer.then(() => "no error", (error) => [error.status_code ?? null, error.message]);

// What each method answers, in this order.
const asked = {
  version: () => client.version(),
  generate: () => client.generate({ model, prompt: "hello" }),
  chat: () => client.chat({ model, messages }),
  streams: () => all(client.chat({ model, messages, stream: true })),
  embed: () => client.embed({ model, input: ["a", "b"], keep_alive: 0 }),
  embeddings: () => client.embeddings({ model, prompt: "hello", keep_alive: 0 }),
  tools: () => client.chat({ model: caller, messages: [{ role: "user", content: call }], tools: [weather] }),
  thinking: () => client.chat({ model: thinker, messages: [{ role: "user", content: "<think>hm</think>four" }] }),
  pull: () => all(client.pull({ model, stream: true })),
  create: () => client.create({ model: "from-node", from: model, system: "be kind" }),
  copy: () => client.copy({ source: "from-node", destination: "from-node-too" }),
  show: () => client.show({ model: "from-node-too" }),
  list: () => client.list(),
  ps: () => client.ps(),
  delete: () => client.delete({ model: "from-node-too" }),
  abort: aborted,
  missing: () => failed(client.chat({ model: "nope", messages })),
  push: () => failed(client.push({ model: "nobody/nothing" })),
};

const answers = {};
for (const [name, ask] of Object.entries(asked)) answers[name] = await ask();
const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(Object.getPrototypeOf(client)));
console.log(JSON.stringify({ answers, methods }));
