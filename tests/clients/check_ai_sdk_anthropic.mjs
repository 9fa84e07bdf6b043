// The Vercel AI SDK with its provider for Anthropic's API, against the Messages API.

import { createAnthropic } from '@ai-sdk/anthropic';
import { check } from './ai_sdk_provider.mjs';

check((baseURL, apiKey) => createAnthropic({ baseURL, apiKey }), {
  thinks: { providerOptions: { anthropic: { thinking: { type: 'enabled', budgetTokens: 1024 } } } },
});
