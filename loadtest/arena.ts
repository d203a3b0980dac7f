/**
 * A bot for the official tool: `npm run colyseus-loadtest -- loadtest/arena.ts --room arena --numClients 50
 * --endpoint ws://localhost:2567`. It plays until it is told to stop; `--output FILE` keeps the summary. For numbers
 * and limits use `npm run loadtest`.
 */
import { cli, type Options } from '@colyseus/loadtest';
import { Client } from '@colyseus/sdk';
import { wander } from './driver/input-track.ts';

const TRACK_STEPS = 900;
const DEFAULT_RATE_HZ = 30;

async function main(options: Options): Promise<void> {
  const client = new Client(options.endpoint);
  // In Node the SDK keeps the token in a store of the process: without this, every bot would be the first one.
  client.auth.token = undefined as unknown as string;
  await client.auth.signInAnonymously();
  const name = `bot-${options.clientId}`;
  const room = options.roomId
    ? await client.joinById(options.roomId, { name })
    : await client.joinOrCreate(options.roomName, { name });
  // The tool's own reconnecting would hide that the server hung up.
  room.reconnection.enabled = false;
  room.onMessage('*', () => {});

  const input = room.input<Record<string, number>>();
  const steps = wander(1 + options.clientId, TRACK_STEPS);
  let at = 0;
  const timer = setInterval(
    () => {
      Object.assign(input.data, steps[at++ % steps.length]);
      input.send();
    },
    1000 / (input.tickRate ?? DEFAULT_RATE_HZ),
  );
  room.onLeave(() => clearInterval(timer));
}

cli(main);
