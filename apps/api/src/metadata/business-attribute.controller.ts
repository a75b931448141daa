import { Body, Controller, Delete, Get, HttpStatus, Param, Put, Res } from '@nestjs/common';
import { ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { enumeratedField, enumeratedFields, type Metadata } from '#domain';
import type { BusinessAttribute } from '#events';
import { Documented, listOf, ref } from '../http/documented.js';
import { Refused } from '../http/refused.js';
import { Sent, type SentRequest } from '../http/sent-request.js';
import { RequiresMode } from '../server-mode/mode.guard.js';
import { AttributeName, BusinessAttributeBody, MetadataBody } from './bodies.js';
import { attributeDefinition } from './from-body.js';
import { MetadataCalls } from './metadata-calls.js';
import { attributesByName } from './metadata.answer.js';

const WHAT = 'business attribute';
const FIELD = 'cv-attribute';
const unknown = { 404: 'There is no such business attribute.' };

@ApiTags('metadata')
@Controller('metadata/business-attributes')
export class BusinessAttributeController {
  constructor(private readonly calls: MetadataCalls) {}

  @Get()
  @RequiresMode('both')
  @Documented({
    id: 'M4_all',
    summary: 'Query business attributes',
    description:
      'All of them by name, or with `cv-attribute` the one that a field is mapped on: one object, not a list. A field that is not mapped: 404.',
    status: 200,
    answer: { oneOf: [listOf('BusinessAttribute'), ref('BusinessAttribute')] },
    errors: { 404: 'The field is mapped on no business attribute.' },
    query: [
      {
        name: FIELD,
        type: String,
        description: `The field, in either spelling of its type (\`Service.type\`, \`Service.service_type\`): ${enumeratedFields.join(', ')}.`,
      },
    ],
  })
  async query(@Sent() sent: SentRequest): Promise<BusinessAttribute | readonly BusinessAttribute[]> {
    const asked = sent.query.single(FIELD);
    if (asked === undefined) return attributesByName(this.calls.known(sent));
    const field = enumeratedField(asked);
    if (!field) throw new Refused('invalid', `${FIELD} must be one of ${enumeratedFields.join(', ')}`);
    return this.calls.found(sent, WHAT, field, (metadata) => named(metadata, metadata.mapped.get(field)));
  }

  @Get(':name')
  @RequiresMode('both')
  @Documented({
    id: 'M4_one',
    summary: 'Query a business attribute',
    description: 'Its name is compared as it is spelled.',
    status: 200,
    answer: ref('BusinessAttribute'),
    errors: unknown,
  })
  one(@Param('name') name: string, @Sent() sent: SentRequest): Promise<BusinessAttribute> {
    return this.calls.found(sent, WHAT, name, (metadata) => named(metadata, name));
  }

  @Put(':name')
  @RequiresMode('maintenance')
  @ApiResponse({
    status: 201,
    description: 'It is new; the body is empty.',
    headers: { Location: { description: 'Path of the business attribute.', schema: { type: 'string' } } },
  })
  @Documented({
    id: 'B1',
    summary: 'Define a business attribute',
    description:
      'Ours, beyond the product. Takes what the query answers, as a whole: what is not sent is gone. Missing DBIDs are given, each once only: a value that stays keeps its own by its name, one that is renamed by its DBID. Defaults fill missing fields of new data; `expiration` counts for new services. `ContactAttributes` holds the core attributes of profiles, their names as those of extensions; without values, or deleted, there is no profile schema: profiles answer 404 and the server goes to maintenance mode.',
    status: 200,
    errors: {
      409: 'A field is mapped on another attribute, a DBID is or was that of something else, a core attribute is part of an identification key or has the name of an extension.',
    },
    changes: true,
  })
  async define(
    @Param('name', AttributeName) name: string,
    @Body(MetadataBody) body: BusinessAttributeBody,
    @Sent() sent: SentRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    const data = attributeDefinition(name, body);
    const { created } = await this.calls.change(sent, { type: 'DefineBusinessAttribute', data });
    if (!created) return;
    sent.location('metadata', 'business-attributes', name);
    void reply.status(HttpStatus.CREATED);
  }

  @Delete(':name')
  @RequiresMode('maintenance')
  @Documented({
    id: 'B2',
    summary: 'Delete a business attribute',
    description:
      'Ours, beyond the product. Fields that were mapped on it are no longer checked; what was recorded keeps its last known names. Without `ContactAttributes` there is no profile schema.',
    status: 204,
    errors: { ...unknown, 409: 'An identification key is made of its values.' },
    changes: true,
    keyed: false,
  })
  async delete(@Param('name') name: string, @Sent() sent: SentRequest): Promise<void> {
    await this.calls.change(sent, { type: 'DeleteBusinessAttribute', data: { name } });
  }
}

const named = ({ businessAttributes }: Metadata, name: string | undefined): BusinessAttribute | undefined =>
  name === undefined ? undefined : businessAttributes.get(name);
