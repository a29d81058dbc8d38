# The chain on synthetic talking faces: `make demo` in the root of the checkout.
#
#   A   labelled utterances         B   a pool without labels, mostly neutral
#   U   a third corpus with other people, another language and other rooms, used in the last step alone
#
# One pre-training on A and B, one projector; for each seed: retrieval, adaptation, and a linear classifier on U
# on the frozen encoder, from audio, video, or both, in folds of speakers. The encoder is compared as
# initialised, pre-trained and adapted. benchmarks/RESULTS.md (Demo) says how the settings were found.
# Every step writes a file; a second run makes only the files that are missing. `make -f examples/demo.mk report` makes
# one page of it all, demo/report.html.

SEEDS ?= 0 1 2
# Of the corpora, the pre-training and the projector. The settings below were chosen with others.
CORPORA ?= 0
MODALITIES ?= audio video av
ENCODERS := random pretrained adapted
# `make demo` runs two steps at a time, each on one thread, as most steps are short.
export OMP_NUM_THREADS ?= 1
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
DEMO ?= demo
Q := $(DEMO)/
LENGTHS := --shortest 1.2 --longest 1.8
# Manifests of other corpora, in place of the synthetic ones, whose emotions are the label GOLD of B.
A ?=
B ?=
U ?=
GOLD ?= $(if $(B),,hidden_emotion)
PICTURES ?= --size 48
PRESET ?= nano
manifest = $(or $($(1)),$(Q)$(1).jsonl)
PRETRAIN := avaffect pretrain-hubert $(Q)A.h5 $(Q)B.h5 --units $(Q)A-units.h5 --units $(Q)B-units.h5 \
	--modality av --preset $(PRESET)
# Expressions need no long context: of short crops, a step of the same cost has more people.
SHORT := --crop-seconds 0.32 --batch-utterances 64 --modality-dropout 0.75 --learning-rate 1e-3
SHORTER := --crop-seconds 0.2 --batch-utterances 96 --modality-dropout 0.75 --learning-rate 1e-3
# A linear support vector machine is fitted at once, where a linear layer needs thousands of steps.
CLASSIFY := --mode frozen --head svm --head-option kernel=linear --folds 8 --annotations $(Q)U-folds.jsonl
SCORED := $(foreach m,$(MODALITIES),$(foreach e,$(ENCODERS),$(Q)$(m)-$(e).jsonl))
FIRST := $(firstword $(SEEDS))

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: table report
table: $(SCORED) $(Q)retrieval-$(FIRST).jsonl $(Q)gallery.png
	@echo "Retrieval for seed $(FIRST): share of retrieved utterances of B with their query's emotion"
	@echo "(drawn at random: 0.25)"
	@avaffect eval-class -q $(Q)retrieval-$(FIRST).jsonl --gold $(Q)B.h5 --label $(GOLD)
	@echo
	@echo "Emotion recognition on U (frozen encoder, linear SVM, 8 folds of unseen speakers,"
	@echo "$(words $(SEEDS)) seeds, mean and standard deviation; chance is 0.25)"
	@avaffect eval-class -q $(SCORED)
	@echo
	@echo "Queries with their retrieved utterances: $(Q)gallery.png"

# Everything on one page: make -f examples/demo.mk report
report: $(Q)report.html
$(Q)report.html: $(SCORED) $(Q)retrieval-$(FIRST).jsonl $(Q)adapted-$(FIRST).safetensors $(Q)A-embeddings.h5
	avaffect report $(Q)A.h5 $(Q)B.h5 $(Q)U.h5 $^ $(if $(GOLD),--gold $(Q)B.h5 --label $(GOLD)) \
		--title "SAAML on synthetic talking faces" -o $@

$(Q)A.jsonl: COUNT := 256
$(Q)A.jsonl: SPEAKERS := 16
$(Q)B.jsonl: COUNT := 384
$(Q)B.jsonl: SPEAKERS := 24
$(Q)U.jsonl: COUNT := 256
$(Q)U.jsonl: SPEAKERS := 16
$(Q)A.jsonl $(Q)B.jsonl $(Q)U.jsonl: $(Q)%.jsonl:
	@mkdir -p $(DEMO)
	avaffect synth $(Q)$* --domain $* --seed $(CORPORA) --utterances $(COUNT) \
		--speakers $(SPEAKERS) $(LENGTHS) -o $@

$(Q)U-folds.jsonl: $(call manifest,U)
	avaffect split $< --by speaker --folds 8 -o $@

$(Q)A.h5: $(call manifest,A)
$(Q)B.h5: $(call manifest,B)
$(Q)U.h5: $(call manifest,U)
$(Q)A.h5 $(Q)B.h5 $(Q)U.h5: $(Q)%.h5:
	avaffect preprocess $< $(PICTURES) --preview $(Q)$*-faces -o $@

# Hidden units of the first iteration: k-means of log-mel spectra, which tell how a voice sounds too; units of
# MFCC, the paper's, tell phones.
$(Q)kmeans.safetensors: $(Q)A.h5 $(Q)B.h5
	avaffect cluster $^ --features logmel -k 50 --initialisations 1 -o $@

$(Q)%-units.h5: $(Q)%.h5 $(Q)kmeans.safetensors
	avaffect extract $< --model $(Q)kmeans.safetensors -o $@

# The control: the encoder at random initialisation.
$(Q)random-%.safetensors: $(Q)A-units.h5 $(Q)B-units.h5
	$(PRETRAIN) --steps 0 --seed $* -o $@

# In three of four batches a modality is missing: the table scores each by itself. Spans of 3 frames are an easier
# task than the paper's 10, and learned sooner.
$(Q)pretrained.safetensors: $(Q)A-units.h5 $(Q)B-units.h5
	$(PRETRAIN) $(SHORT) --steps 600 --mask-length 3 --mask-probability 0.5 --unmasked-weight 1 \
		--features-penalty 0 --seed $(CORPORA) -o $@

# The encoder is trained with the projector: on the frozen one retrieval is at chance. `adapt` begins with
# the encoder as it was.
$(Q)projector.safetensors: $(Q)pretrained.safetensors
	avaffect train-projector $(Q)A.h5 --encoder $< --label emotion --base 0.5 --epsilon 0.1 \
		--cross-entropy 2 --train-encoder --encoder-learning-rate 1e-3 --crop-seconds 0.6 --steps 250 \
		--batch-utterances 32 --seed $(CORPORA) -o $@

$(Q)A-embeddings.h5 $(Q)B-embeddings.h5: $(Q)%-embeddings.h5: $(Q)projector.safetensors
	avaffect extract $(Q)$*.h5 --model $< -o $@

$(Q)retrieval-%.jsonl: $(Q)A-embeddings.h5 $(Q)B-embeddings.h5
	avaffect retrieve --query $(Q)A-embeddings.h5 --pool $(Q)B-embeddings.h5 -T 0.005 --seed $* -o $@

$(Q)gallery.png: $(Q)retrieval-$(FIRST).jsonl
	avaffect gallery $< $(if $(GOLD),--gold $(Q)B.h5 --label $(GOLD)) -o $@

# A small encoder needs a higher learning rate than the paper's 1e-5, and at that rate a domain loss with weight 1
# dominates the others.
$(Q)adapted-%.safetensors: $(Q)retrieval-%.jsonl
	avaffect adapt $< $(SHORTER) --steps 250 --domain-weight 0.1 --pretraining-weight 0.1 --seed $* -o $@

# A classifier on one encoder (2), of a seed (3), that uses one modality (1).
define classifier
$(Q)$(1)-$(2)-er.safetensors: $(Q)$(2).safetensors $(Q)U.h5 $(Q)U-folds.jsonl
	avaffect finetune $(Q)U.h5 --encoder $$< --modality $(1) $(CLASSIFY) --seed $(3) -o $$@
endef
$(foreach m,$(MODALITIES),$(eval $(call classifier,$(m),pretrained,$(CORPORA))))
$(foreach m,$(MODALITIES),$(foreach e,random adapted,$(foreach seed,$(SEEDS),\
	$(eval $(call classifier,$(m),$(e)-$(seed),$(seed))))))

$(Q)%.jsonl: $(Q)%-er.safetensors
	avaffect predict $(Q)U.h5 --model $< --annotations $(Q)U-folds.jsonl -o $@

$(foreach e,random adapted,$(foreach m,$(MODALITIES),$(Q)$(m)-$(e).jsonl)): $(Q)%.jsonl: \
		$(foreach seed,$(SEEDS),$(Q)%-$(seed).jsonl)
	avaffect merge $^ -o $@
