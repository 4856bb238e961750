-- The extension stays: it belongs to the database, and others may use it by now.
DROP TABLE knowledge_base;
DROP TABLE conversation_embeddings;
DROP TABLE embedding_models;
DROP FUNCTION content_hash(text);
