// The Vercel AI SDK with its provider for the Responses API of any server.

import { createOpenResponses } from '@ai-sdk/open-responses';
import { check } from './ai_sdk_provider.mjs';

check((baseURL, apiKey) => createOpenResponses({ name: 'z2api', url: `${baseURL}/responses`, apiKey }));
