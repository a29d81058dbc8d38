# Expression in the wild by SAAML (section 5.2, table 3): a class every frame from two seconds on either side, of an
# encoder as it was adapted, as it was pre-trained, and at random initialisation, each with and without the words.
#
#   make -f examples/expression.mk OUT=expression
#
# Without FILMS everything is synthetic, as in highlight.mk, which makes the encoders: people who speak with weak and strong
# emotions. WORDS is the share of the words in their transcripts that go with the emotion (0: words tell nothing), and
# the text encoder a tiny RoBERTa of random weights (it needs the extra huggingface). With Aff-Wild2, whose test part has no
# labels, and your own encoders:
#
#   avaffect manifest aff-wild2 aff-wild2/ -o films.jsonl
#   hf download FacebookAI/roberta-base --local-dir roberta-base
#   make -f examples/expression.mk FILMS=films.jsonl TRANSCRIPTS=vtt/ TEXT_ENCODER=roberta-base \
#       PRETRAINED=fav.safetensors ADAPTED=aw.safetensors PICTURES="--faces yunet --face-model yunet.onnx" \
#       TEST=development TRAIN="--select none --epochs 5 --head-learning-rate 1e-3" OUT=aff-wild2
#
# Printed: the mean F1 of the part TEST over RUNS seeds. Rows: the encoder alone; +text, fused with the words by one
# linear layer on both vectors; -text, the same classifier without them, where they count as their mean; text, the words alone.

OUT ?= expression
WORDS ?= 0.2
FILM ?= --utterances 48 --speakers 24 --segments 8 --words $(WORDS)
EXPRESSION ?= expression
EVERY ?= 5
AROUND ?= 2
TEST ?= test
# Of a frozen encoder; the paper trains it too.
TRAIN ?= --select f1_macro --epochs 60
TRANSCRIPTS ?= $(OUT)/people-films/words
TEXT_ENCODER ?= $(OUT)/text-encoder
PYTHON ?= python3

include $(dir $(lastword $(MAKEFILE_LIST)))highlight.mk

.DEFAULT_GOAL := table3

$(OUT)/text-encoder:
	$(PYTHON) $(dir $(firstword $(MAKEFILE_LIST)))tiny_text_encoder.py $@

define frames
$(O)frames-$(1).h5: $(O)films.h5 $$(encoder_$(1))
	avaffect extract $(O)films.h5 --model $$(encoder_$(1)) --frames-of $(EXPRESSION) --every $(EVERY) \
		--around $(AROUND) -o $$@
endef
$(foreach encoder,$(ENCODERS),$(eval $(call frames,$(encoder))))

# The frames of every encoder are the same utterances.
$(O)text.h5: $(O)frames-random.h5 $(TEXT_ENCODER)
	avaffect extract-text $< --transcripts $(TRANSCRIPTS) --model $(TEXT_ENCODER) --around $(AROUND) -o $@

FINETUNE = avaffect finetune $(filter %.h5,$<) --label $(EXPRESSION) --sampler balanced $(TRAIN) --runs $(RUNS) \
	--seed $(SEED)
PREDICT = avaffect predict --split $(TEST)
text := --features text=$(O)text.h5
av = --features av=$(O)frames-$*.h5

$(O)alone-%.safetensors: $(O)frames-%.h5
	$(FINETUNE) $(av) -o $@

$(O)fused-%.safetensors: $(O)frames-%.h5 $(O)text.h5
	$(FINETUNE) $(av) $(text) -o $@

$(O)words.safetensors: $(O)text.h5
	$(FINETUNE) $(text) -o $@

$(O)alone-%.jsonl: $(O)alone-%.safetensors
	$(PREDICT) $(O)frames-$*.h5 --model $< $(av) -o $@

$(O)fused-%.jsonl: $(O)fused-%.safetensors
	$(PREDICT) $(O)frames-$*.h5 --model $< $(av) $(text) -o $@

$(O)without-%.jsonl: $(O)fused-%.safetensors
	$(PREDICT) $(O)frames-$*.h5 --model $< $(av) --without-features text -o $@

$(O)words.jsonl: $(O)words.safetensors
	$(PREDICT) $(O)text.h5 --model $< $(text) -o $@

rows = $(1)=$(O)alone-$(1).jsonl $(1)+text=$(O)fused-$(1).jsonl $(1)-text=$(O)without-$(1).jsonl
define with_text
@echo; echo "With and without text: $(1)"
@avaffect compare -q --score f1_macro --baseline $(1) $(call rows,$(1))

endef
PREDICTED := $(foreach kind,alone fused without,$(foreach encoder,$(ENCODERS),$(O)$(kind)-$(encoder).jsonl))

.PHONY: table3
table3: $(O)words.jsonl $(PREDICTED)
	@echo "Table 3: mean F1 of $(EXPRESSION) ($(RUNS) runs)"
	@avaffect compare -q --score f1_macro --baseline pretrained text=$(O)words.jsonl \
		$(foreach encoder,$(ENCODERS),$(call rows,$(encoder)))
	$(foreach encoder,$(ENCODERS),$(call with_text,$(encoder)))
