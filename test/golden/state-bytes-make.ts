/** Writes state-bytes.json anew: `npx node test/golden/state-bytes-make.ts`. See docs/protocol.md before you commit it. */
import { writeFileSync } from 'node:fs';
import { recordStateBytes } from './state-bytes.ts';

writeFileSync(new URL('state-bytes.json', import.meta.url), `${JSON.stringify(recordStateBytes(), null, 2)}\n`);
