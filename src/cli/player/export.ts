import type { StoredEvent } from '../../events/event-log.ts';
import { EXIT, type PlayerCommand, type PlayerContext } from './command.ts';

export const exportPlayer: PlayerCommand = {
  usage: 'ID',
  help: 'everything known of a person as JSON: its account, and every event of the log that names it',
  async run(context, playerId) {
    const { events: _, ...facts } = await context.accounts.export(playerId, 'operator');
    // One JSON document, written as it is read: the log may be long.
    await context.print(`${JSON.stringify(facts, null, 2).replace(/\n}$/, '')},\n  "events": [`);
    let count = 0;
    for await (const event of eventsNaming(context, playerId)) {
      const { position, stream, type, version, payload, recordedAtMs } = event;
      const line = JSON.stringify({ position, stream, type, version, payload, recordedAtMs });
      await context.print(`${count++ === 0 ? '' : ','}\n    ${line}`);
    }
    await context.print(`${count === 0 ? '' : '\n  '}]\n}\n`);
    return EXIT.FINE;
  },
};

async function* eventsNaming({ log, stderr }: PlayerContext, playerId: string): AsyncGenerator<StoredEvent> {
  const head = await log.head();
  for await (const page of log.readAll(0, { pageMax: 5_000 })) {
    for (const event of page) {
      if (event.stream.includes(playerId) || JSON.stringify(event.payload).includes(playerId)) yield event;
    }
    const read = page.at(-1)?.position ?? head;
    if (stderr.isTTY === true) stderr.write(`\rreading the log: ${Math.floor((100 * read) / Math.max(1, head))} %`);
  }
  if (stderr.isTTY === true) stderr.write('\r\x1b[K');
}
