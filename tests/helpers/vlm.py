"""A tiny LLaVA in the real format: random weights, a vocabulary of words, a chat template."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

TEMPLATE = (
    "{% for message in messages %}USER: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)
SPECIAL = ["<pad>", "<unk>", "<image>"]


def vocabulary(texts):
    words = {word for text in texts for word, _ in pre_tokenizers.Whitespace().pre_tokenize_str(text)}
    return {word: index for index, word in enumerate([*SPECIAL, *sorted(words)])}


def save_vlm(folder, *, texts, template=TEMPLATE):
    """Write a complete model to ``folder``; the vocabulary is the words of ``texts``."""
    known = vocabulary([*texts, "USER: ASSISTANT: Answer:"])
    words = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    torch.manual_seed(0)
    network = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=28,
                patch_size=14,
                projection_dim=16,
            ),
            text_config=LlamaConfig(
                vocab_size=len(known),
                hidden_size=32,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                max_position_embeddings=512,
            ),
            image_token_index=known["<image>"],
            image_seq_length=4,
        )
    )
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    network.save_pretrained(folder, safe_serialization=True)
    processor.save_pretrained(folder)
    return folder
