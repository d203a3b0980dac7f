import { UsageError } from '../frame.ts';
import { answer, type PlayerCommand } from './command.ts';

export const erase: PlayerCommand = {
  usage: 'ID --yes',
  help: 'removes the person for good: e-mail, name, password, sign-ins; what it owned falls to the sink',
  options: { yes: { type: 'boolean' } },
  async run(context, playerId, _operands, { yes }) {
    if (yes !== true) throw new UsageError('Erasing cannot be taken back; say --yes.');
    await context.accounts.erase(playerId, 'operator');
    return answer(context, { playerId, isErased: true }, `${playerId} is erased.`);
  },
};
