// Vercel's AI SDK with its provider for Ollama. `node ai.mjs <url> <what> <model>`; what: answers, tools, object, vectors

import { embedMany, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { createOllama } from "ollama-ai-provider-v2";
import { z } from "zod";

const [url, what, name] = process.argv.slice(2);
const provider = createOllama({ baseURL: `${url}/api` });
const model = provider(name);

const weather = tool({
  description: "The weather of a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});

const asked = {
  answers: async () => {
    const { text, usage, finishReason } = await generateText({ model, prompt: "hello" });
    let streamed = "";
    for await (const part of streamText({ model, prompt: "hello" }).textStream) streamed += part;
    return { text, streamed, finishReason, inputTokens: usage.inputTokens };
  },
  tools: async () => {
    const prompt = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>';
    const stopWhen = stepCountIs(2);
    const { text, steps } = await generateText({ model, prompt, tools: { get_weather: weather }, stopWhen });
    return { text, calls: steps.flatMap((step) => step.toolCalls.map((call) => [call.toolName, call.input])) };
  },
  object: async () => {
    const schema = z.object({ city: z.string().max(20), degrees: z.number().int().min(-99).max(99) });
    const prompt = "What is the weather in Paris? Name the city and a number of degrees.";
    return (await generateObject({ model, schema, prompt, temperature: 0 })).object;
  },
  vectors: async () => {
    const { embeddings } = await embedMany({ model: provider.embedding(name), values: ["a cat", "a dog"] });
    return embeddings.map((vector) => vector.length);
  },
};

console.log(JSON.stringify(await asked[what]()));
