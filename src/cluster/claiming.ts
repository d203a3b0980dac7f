/** A match that is taken over is claimed twice: in its journal, which is the fence, and in the registry, for everybody. */
import { GameError } from '../kernel/errors.ts';
import type { MatchJournal } from '../match/journal.ts';
import type { Membership } from './membership.ts';

/** The journal, for adoption: a claim that it grants counts only if the registry does not know a later one. */
export function claiming<J extends Pick<MatchJournal, 'list' | 'open' | 'load' | 'loadTail'>>(
  journal: J,
  membership: Pick<Membership, 'take'>,
): Pick<MatchJournal, 'list' | 'open' | 'load' | 'loadTail'> {
  return {
    list: () => journal.list(),
    load: (matchId) => journal.load(matchId),
    loadTail: (matchId) => journal.loadTail(matchId),
    async open(header, epoch) {
      const writer = await journal.open(header, epoch);
      const { matchId, roomName, buildId, simId, simVersion } = header;
      const schemaHash = header.schemaHash ?? '';
      const room = { roomId: header.roomId ?? matchId, matchId, roomName, buildId, simId, simVersion, schemaHash };
      try {
        if (await membership.take({ ...room, epoch: writer.epoch })) return writer;
      } catch (error) {
        await writer.close();
        throw error;
      }
      await writer.close();
      throw new GameError('JOURNAL_FENCED', { matchId });
    },
  };
}
