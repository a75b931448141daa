import { Controller, Get, Headers, Put } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { Documented, ref } from '../http/documented.js';
import { Sent, type SentRequest } from '../http/sent-request.js';
import { formatTime } from '../http/times.js';
import { RequiresMode } from '../server-mode/mode.guard.js';
import { MetadataCalls } from './metadata-calls.js';
import { extensionsByName, keysByName, metadataLinks, metadataPage, wantsPage } from './metadata.answer.js';

/** The ways into the metadata, and what this process keeps of it (contract 8, C9 to C11). */
@ApiTags('metadata')
@Controller('metadata')
export class MetadataController {
  constructor(private readonly calls: MetadataCalls) {}

  @Get()
  @RequiresMode('both')
  @Documented({
    id: 'C9',
    summary: 'Get metadata',
    description:
      'The paths of the metadata by title; as a page with links for a request whose `Content-Type` is `text/html`, or that names none and whose `Accept` prefers it. Titles of parts that only version 8.1 has are left out.',
    status: 200,
    answer: { type: 'object', additionalProperties: { type: 'string' } },
  })
  all(@Headers('accept') accept: string | undefined, @Sent() sent: SentRequest): unknown {
    this.calls.known(sent);
    if (!wantsPage(sent.contentType, accept)) return metadataLinks(sent.prefix);
    sent.answersHtml();
    return metadataPage(sent.prefix);
  }

  @Get('cache')
  @RequiresMode('both')
  @Documented({
    id: 'C10',
    summary: 'Get the metadata cache',
    description:
      'Names of the schemas that the process which answers has in memory, and since when it has followed them, or was last asked to look again. The product does not say what it answers.',
    status: 200,
    answer: ref('MetadataCache'),
  })
  cache(@Sent() sent: SentRequest) {
    const metadata = this.calls.known(sent);
    return {
      'profiles-extensions': extensionsByName(metadata).map(({ name }) => name),
      'identification-keys': keysByName(metadata).map(({ name }) => name),
      loaded: formatTime(this.calls.loaded.getTime()),
    };
  }

  @Put('cache')
  @RequiresMode('both')
  @Documented({
    id: 'C11',
    summary: 'Change the metadata cache',
    description:
      'Every process follows the metadata by itself; this one looks again before it answers as C10 does. A body is passed over.',
    status: 200,
    answer: ref('MetadataCache'),
    changes: true,
    keyed: false,
  })
  async reload(@Sent() sent: SentRequest) {
    await this.calls.reload();
    return this.cache(sent);
  }
}
