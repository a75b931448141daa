import { getHeapStatistics } from 'node:v8';
import { Body, Controller, Get, Post } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { Json, Mode } from '#events';
import { Engine } from '../engine/engine.js';
import { Documented, ref } from '../http/documented.js';
import { Refused } from '../http/refused.js';
import { Sent, type SentRequest } from '../http/sent-request.js';
import { formatTime } from '../http/times.js';
import { version } from '../http/version.js';
import { JsonObject } from '../services/bodies.js';
import { RequiresMode, SwitchesMode } from './mode.guard.js';
import { RequestCounts } from './request-counts.js';

const BYTES_PER_KB = 1024;
const started = new Date();

@ApiTags('server')
@Controller('server')
export class ServerController {
  constructor(
    private readonly engine: Engine,
    private readonly counts: RequestCounts,
  ) {}

  @Get('status')
  @RequiresMode('both')
  @Documented({
    id: 'V1',
    summary: 'Query the server status',
    description:
      'Requests and errors are those that this process has answered since midnight UTC or its start. Memory is that of the JavaScript heap, in KB. `last_request` is missing before the first one.',
    status: 200,
    answer: ref('ServerStatus'),
  })
  status(@Sent() sent: SentRequest) {
    const { control } = this.engine.running();
    const heap = getHeapStatistics();
    const { requests, clientErrors, serverErrors, last } = this.counts.today;
    sent.answeredAtControl(control.position);
    return {
      version,
      mode: control.serverMode.mode,
      system_time: formatTime(Date.now()),
      started: formatTime(started.getTime()),
      ...(last && { last_request: formatTime(last.getTime()) }),
      max_memory: kilobytes(heap.heap_size_limit),
      allocated_memory: kilobytes(heap.total_heap_size),
      used_memory: kilobytes(heap.used_heap_size),
      free_memory: kilobytes(heap.total_heap_size - heap.used_heap_size),
      request_today: requests,
      client_errors_today: clientErrors,
      server_errors_today: serverErrors,
    };
  }

  @Post('mode')
  @SwitchesMode()
  @Documented({
    id: 'V2',
    summary: 'Set the server mode',
    description:
      'Answers when the switch is complete: from then on nothing of the other kind can be recorded. Calls under way are waited for, within a limit. Until then every route answers 503; a caller that goes away does not stop the switch. The mode that is in force already is answered at once.',
    status: 200,
    answer: ref('ServerChanged'),
    location: 'Path of the status.',
    errors: { 404: 'Production is not possible: no profile schema is defined.' },
    body: {
      type: 'object',
      required: ['mode'],
      properties: {
        mode: {
          type: 'string',
          example: 'maintenance',
          description: '`production` or `maintenance`, in any letter case.',
        },
      },
    },
    changes: true,
  })
  async change(@Body(JsonObject) body: { readonly [name: string]: Json }, @Sent() sent: SentRequest) {
    const mode = modeIn(body);
    sent.answeredAtControl(await this.engine.running().modeSwitch.to(mode, sent.context));
    sent.location('server', 'status');
    return { 'server changed': mode };
  }
}

const kilobytes = (bytes: number): number => Math.round(bytes / BYTES_PER_KB);

function modeIn(body: { readonly [name: string]: Json }): Mode {
  const [other] = Object.keys(body).filter((name) => name !== 'mode');
  if (other !== undefined) throw new Refused('invalid', `${other.slice(0, 60)} is not known here, only mode is`);
  const sent = Object.hasOwn(body, 'mode') ? body['mode'] : undefined;
  const mode = typeof sent === 'string' ? sent.toLowerCase() : undefined;
  if (mode === 'production' || mode === 'maintenance') return mode;
  throw new Refused('invalid', `mode must be 'production' or 'maintenance'`);
}
