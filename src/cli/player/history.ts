import { possessionsAt } from '../../economy/restore.ts';
import { ECONOMY_STREAM, postingOf } from '../../events/economy-events.ts';
import { EXIT, type PlayerCommand } from './command.ts';

/** What came and went, from the log itself, so that it needs no view. */
export const history: PlayerCommand = {
  usage: 'ID',
  help: 'everything that the player gained and lost, oldest first, and what is owned now',
  async run({ log, isJson, print }, playerId) {
    const account = `player:${playerId}`;
    for await (const { position, recordedAtMs, type, payload } of log.read(ECONOMY_STREAM)) {
      const posting = postingOf(payload);
      if (posting === undefined) continue;
      const changes = [
        ...posting.legs.filter(([owner]) => owner === account).map(([, asset, delta]) => [asset, delta] as const),
        ...posting.items.filter(([, , from]) => from === account).map(([itemId]) => [itemId, -1] as const),
        ...posting.items.filter(([, , , to]) => to === account).map(([itemId]) => [itemId, 1] as const),
      ];
      if (changes.length === 0) continue;
      const { reason, cause } = posting;
      if (isJson) {
        const at = new Date(recordedAtMs).toISOString();
        await print(`${JSON.stringify({ position, at, type, reason, cause, changes })}\n`);
      } else {
        const when = new Date(recordedAtMs).toISOString().replace('T', ' ').slice(0, 19);
        const what = changes.map(([asset, delta]) => `${delta > 0 ? '+' : ''}${delta} ${asset}`).join(', ');
        await print(`${String(position).padStart(10)}  ${when}  ${reason} (${cause})  ${what}\n`);
      }
    }
    const { assets, items, position } = await possessionsAt(log, playerId, { position: await log.head() });
    if (isJson) await print(`${JSON.stringify({ position, owns: Object.fromEntries(assets), items: [...items] })}\n`);
    else {
      const owned = [...assets].map(([asset, n]) => `${n} ${asset}`);
      for (const [itemId, kind] of items) owned.push(`${kind} ${itemId}`);
      await print(`Owns now, with what is on hold: ${owned.join(', ') || 'nothing'}.\n`);
    }
    return EXIT.FINE;
  },
};
