/** Reads a replay file and plays it again, in a process that has done nothing before. Argument: file. */
import { readFile } from 'node:fs/promises';
import { inflateRaw } from '../../../src/kernel/inflate.ts';
import { verifyReplay } from '../../../src/kernel/replay-check.ts';
import { unpackReplay } from '../../../src/kernel/replay-file.ts';
import { arena } from '../../../src/sim/arena.ts';

const startedAtMs = performance.now();
const replay = await unpackReplay(await readFile(process.argv[2]!), inflateRaw);
const readAtMs = performance.now();
const found = verifyReplay(arena, replay);
const doneAtMs = performance.now();
process.stdout.write(
  `${JSON.stringify({
    readMs: readAtMs - startedAtMs,
    simulateMs: doneAtMs - readAtMs,
    isSame: found.kind === 'same',
  })}\n`,
);
